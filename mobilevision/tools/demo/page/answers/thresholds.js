/** What val chose, a number a class; a half where it chose none. */
export function thresholdsOf({ classes, decision }) {
  const chosen = decision.thresholds;
  const usable = Array.isArray(chosen) && chosen.length === classes.length;
  return classes.map((_, place) => (usable ? (chosen[place] ?? 0.5) : 0.5));
}
