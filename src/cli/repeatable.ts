/** Gathers the values of an option that can be given more than once. */
export function gatherValues(text: string, before: readonly string[]): readonly string[] {
  return [...before, text];
}
