// Where pictures come from: the file button, dropping, pasting.

const isPicture = (item) => item.type.startsWith("image/");

export function listen({ take }) {
  const file = document.getElementById("file");
  file.addEventListener("change", async () => {
    const chosen = [...file.files];
    file.value = ""; // the same file may be chosen again
    for (const each of chosen) await take(each);
  });
  addEventListener("paste", (event) => {
    const item = [...(event.clipboardData?.items ?? [])].find(isPicture);
    if (item) take(item.getAsFile());
  });
  listenToDrops(take);
}

function listenToDrops(take) {
  const mark = (on) => document.body.classList.toggle("dropping", on);
  addEventListener("dragover", (event) => {
    event.preventDefault();
    mark(true);
  });
  addEventListener("dragleave", (event) => event.relatedTarget ?? mark(false));
  addEventListener("drop", async (event) => {
    event.preventDefault();
    mark(false);
    for (const each of [...event.dataTransfer.files].filter(isPicture)) await take(each);
  });
}
