import { CUSTODY_ROOT, LOGS_ROOT, RECORDS_ROOT, RUNS_ROOT } from '../../archive/keys.ts';

/** One job, one run or one repository out of an archive. Names and hosts are compared without regard to case. */
export type VerifiedPart =
  | { readonly kind: 'job'; readonly host: string | null; readonly jobId: number }
  /** All of its attempts: a job is filed under the attempt in which it was first seen. */
  | { readonly kind: 'run'; readonly host: string | null; readonly runId: number }
  | {
      readonly kind: 'repository';
      readonly host: string | null;
      readonly owner: string;
      readonly repo: string;
    };

/** Which objects a verification looks at. */
export interface SelectedObjects {
  /** Whether an object is one of those, by its key: also one that Everlog would not have written there. */
  readonly has: (key: string) => boolean;
  /** Whether an entry has to be known although it is none of those: it may explain, or take part in, what is said of them. */
  readonly needs: (key: string) => boolean;
  /** Below these everything that is selected stands. */
  readonly prefixes: readonly string[];
  /** As it is told: `job 399444496`. */
  readonly words: string;
}

const ANY = '[^/]+';

/**
 * The objects of a selection. Where a job or a run is recorded under several names of its repository, those are all its
 * objects; of a repository they are what stands under this very name, as the ledger does not say who else had it.
 */
export function objectsOf(selection: VerifiedPart): SelectedObjects {
  const host = selection.host?.toLowerCase() ?? null;
  const at = `host=${host === null ? ANY : literal(host)}/`;
  const [roots, prefixes, words] = keyPatternsOf(selection, at, host === null ? '' : `host=${host}/`);
  const pattern = new RegExp(`^(?:${roots.join('|')})`);
  const where = host === null ? '' : ` of ${host}`;
  return {
    has: (key) => pattern.test(key),
    // The run of a selected repository may have jobs that were recorded under another name of it.
    needs: (key) =>
      key.startsWith(CUSTODY_ROOT) || (selection.kind === 'repository' && !key.startsWith(RUNS_ROOT)),
    prefixes,
    words: words + where,
  };
}

type KeyPatterns = readonly [roots: readonly string[], prefixes: readonly string[], words: string];

function keyPatternsOf(selection: VerifiedPart, at: string, below: string): KeyPatterns {
  const anywhere = `${at}owner=${ANY}/repo=${ANY}/`;
  const folders = [RECORDS_ROOT, LOGS_ROOT, RUNS_ROOT];
  const hosts = folders.map((name) => name + below);
  switch (selection.kind) {
    case 'job': {
      const id = `${selection.jobId}(?!\\d)`;
      const roots = [
        `${RECORDS_ROOT}${anywhere}\\d+/\\d+/${id}`,
        `${LOGS_ROOT}${anywhere}dt=${ANY}/\\d+-\\d+-${id}`,
      ];
      return [roots, hosts.slice(0, 2), `job ${selection.jobId}`];
    }
    case 'run': {
      const id = selection.runId;
      const roots = [
        `(?:${RECORDS_ROOT}|${RUNS_ROOT})${anywhere}${id}/`,
        `${LOGS_ROOT}${anywhere}dt=${ANY}/${id}-`,
      ];
      return [roots, hosts, `run ${id}`];
    }
    case 'repository': {
      const [owner, repo] = [selection.owner.toLowerCase(), selection.repo.toLowerCase()];
      const place = `owner=${owner}/repo=${repo}/`;
      const roots = [`(?:${folders.join('|')})${at}${literal(place)}`];
      return [roots, below === '' ? folders : hosts.map((name) => name + place), `${owner}/${repo}`];
    }
  }
}

function literal(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
}
