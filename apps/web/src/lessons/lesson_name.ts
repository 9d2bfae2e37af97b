// The form of what a link names a lesson by. lesson_address.ts says where it lies.

const shippedName = /^[a-z][a-z0-9-]{0,31}$/;
/** Characters of an address; servers refuse longer ones. */
const maxAddress = 4096;

/** Return whether a text is the name of a lesson that may ship with the page, rather than an address. */
export function isShippedName(text: string): boolean {
  return shippedName.test(text);
}

/** Return whether a text has the form of a name or of an address. */
export function namesLesson(text: string): boolean {
  return isShippedName(text) || (text.length <= maxAddress && /^https?:\/\//.test(text));
}
