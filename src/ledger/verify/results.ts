/** What a verification can say (CONTRACT §6). */

/** Words that end a verification with exit code 4. */
const FINDINGS = [
  'MODIFIED',
  'MISSING',
  'SHADOWED',
  'HIDDEN',
  'GAP',
  'TRUNCATED',
  'FORKED',
  'UNSEALED',
  'BAD_SIGNATURE',
  'UNKNOWN_KEY',
  'REVOKED_KEY',
  'RETENTION_SHORT',
  'INCOMPLETE',
] as const;

/** Words that are to be known and are no findings. */
type RemarkWord = 'ERASED' | 'EXPIRED' | 'RELOCATED' | 'UNANCHORED' | 'NOT_CHECKED';

type ResultWord = (typeof FINDINGS)[number] | RemarkWord;

/** One thing that is not simply valid. `key` is the object it is about; `detail` is for people. */
export interface Result {
  readonly result: ResultWord;
  readonly key: string;
  readonly detail: string;
}

/** Takes a result; resolves when more are welcome. */
export type Report = (result: Result) => Promise<void>;

const FINDING_WORDS: ReadonlySet<string> = new Set(FINDINGS);

/** Whether a result is a finding rather than a remark. */
export function isFinding({ result }: Result): boolean {
  return FINDING_WORDS.has(result);
}

/** `digest 3`, or `digests 3 to 7`. */
export function digestsNamed(first: number, last: number): string {
  return first === last ? `digest ${first}` : `digests ${first} to ${last}`;
}
