/** Something that whoever sees the page can understand: its message is shown as it is. */
export class PlainError extends Error {}
