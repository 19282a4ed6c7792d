/** Commits that somebody asks for, each by its hash or how it begins. */
export class CommitList {
  /** What was asked for, by length, so that a commit is looked up once for each length. */
  readonly #asked: ReadonlyMap<number, ReadonlySet<string>>;
  readonly #unmet: Set<string>;

  constructor(asked: Iterable<string>) {
    const byLength = new Map<number, Set<string>>();
    this.#unmet = new Set(asked);
    for (const start of this.#unmet) {
      const same = byLength.get(start.length) ?? new Set();
      byLength.set(start.length, same.add(start));
    }
    this.#asked = byLength;
  }

  /** What was asked for that this commit answers, the longest first; null when nothing. */
  asks(commit: string): string | null {
    const lower = commit.toLowerCase();
    const lengths = [...this.#asked.keys()].sort((a, b) => b - a);
    let longest: string | null = null;
    for (const length of lengths) {
      const start = lower.slice(0, length);
      if (this.#asked.get(length)?.has(start) !== true) continue;
      this.#unmet.delete(start);
      longest ??= start;
    }
    return longest;
  }

  /** What was asked for and nothing has answered so far, in the order it was asked. */
  unmet(): readonly string[] {
    return [...this.#unmet];
  }
}

export type ParsedCommitList =
  | { readonly ok: true; readonly commits: CommitList }
  /** Each names its line and what would do. */
  | { readonly ok: false; readonly problems: readonly string[] };

/** Lines named one by one; a file of another kind would have one for each line. */
const PROBLEMS_MAX = 10;
/** Commits of one export. */
const COMMITS_MAX = 100_000;

/** Reads a list of commits: one hash, or its first seven or more characters, on each line; empty lines and `#` comments are left out. */
export function parseCommitList(text: string): ParsedCommitList {
  const asked: string[] = [];
  const problems: string[] = [];
  for (const [index, line] of text
    .replace(/^\ufeff/, '')
    .split('\n')
    .entries()) {
    const word = line.trim().toLowerCase();
    if (word === '' || word.startsWith('#')) continue;
    if (/^[0-9a-f]{7,64}$/.test(word)) asked.push(word);
    else if (problems.length < PROBLEMS_MAX)
      problems.push(`line ${index + 1} is no commit hash, nor seven or more characters of one`);
  }
  if (problems.length > 0) return { ok: false, problems };
  if (asked.length === 0)
    return { ok: false, problems: ['there is no commit in it; write one hash on each line'] };
  if (asked.length > COMMITS_MAX)
    return { ok: false, problems: [`it has more than ${COMMITS_MAX} commits; divide it`] };
  return { ok: true, commits: new CommitList(asked) };
}
