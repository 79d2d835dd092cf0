// Works without a network once loaded: registers the service worker, and tells of a newer version of the page.

/** @param {HTMLElement} said where the state is told  @param {() => boolean} idle whether a reload disturbs nobody */
export async function keepOffline(said, idle) {
  if (!navigator.serviceWorker) return;
  const first = navigator.serviceWorker.controller === null;
  navigator.serviceWorker.addEventListener("controllerchange", () => {
    if (first) return; // the first version took over; nothing is newer
    if (idle()) location.reload();
    else said.replaceChildren(" A newer version is here: reload the page.");
  });
  try {
    await navigator.serviceWorker.register("sw.js", { updateViaCache: "none" });
    await navigator.serviceWorker.ready;
    said.textContent = " Works offline.";
    document.documentElement.dataset.offline = "ready";
  } catch {
    // a host or a browser that allows none: the page works as long as there is a network
  }
}
