import { isNameForKeys } from './keys.ts';

/** What a person points at: a page or API address of GitHub's, or a bare job id. */
export type JobReference =
  | { readonly kind: 'id'; readonly jobId: number }
  /** At least one of `runId` and `jobId` is known. */
  | {
      readonly kind: 'place';
      readonly host: string;
      readonly owner: string;
      readonly repo: string;
      readonly runId: number | null;
      readonly attempt: number | null;
      readonly jobId: number | null;
      /** Step and line of a `#step:5:120` permalink. */
      readonly step: number | null;
      readonly line: number | null;
    };

export type PlaceReference = Extract<JobReference, { kind: 'place' }>;

export type ParsedReference =
  | { readonly ok: true; readonly reference: JobReference }
  /** `problem` says what is wrong and what would do; it holds nothing of the address but what was recognised. */
  | { readonly ok: false; readonly problem: string };

/** An address longer than this was not made by GitHub: the longest names give about 400 characters. */
const REFERENCE_CHARACTERS_MAX = 2_000;

const WHAT_WOULD_DO =
  'give the address of a job or run as the browser shows it (https://github.com/OWNER/REPO/actions/runs/RUN/job/JOB), its API address, or a job id';

/** Paths of pages, and of the API, below `/OWNER/REPO`; each with what its numbers are. */
const WEB_PATHS: readonly RegExp[] = [
  /^\/(?<owner>[^/]+)\/(?<repo>[^/]+)\/actions\/runs\/(?<run>\d+)\/jobs?\/(?<job>\d+)(?:\/.*)?$/,
  /^\/(?<owner>[^/]+)\/(?<repo>[^/]+)\/actions\/runs\/(?<run>\d+)\/attempts\/(?<attempt>\d+)\/jobs?\/(?<job>\d+)(?:\/.*)?$/,
  /^\/(?<owner>[^/]+)\/(?<repo>[^/]+)\/actions\/runs\/(?<run>\d+)\/attempts\/(?<attempt>\d+)(?:\/.*)?$/,
  /^\/(?<owner>[^/]+)\/(?<repo>[^/]+)\/actions\/runs\/(?<run>\d+)(?:\/.*)?$/,
  /^\/(?<owner>[^/]+)\/(?<repo>[^/]+)\/runs\/(?<job>\d+)(?:\/.*)?$/,
  /^\/(?<owner>[^/]+)\/(?<repo>[^/]+)\/commit\/[0-9a-fA-F]+\/checks\/(?<job>\d+)(?:\/.*)?$/,
];
const API_PATHS: readonly RegExp[] = [
  /^\/repos\/(?<owner>[^/]+)\/(?<repo>[^/]+)\/actions\/jobs\/(?<job>\d+)(?:\/.*)?$/,
  /^\/repos\/(?<owner>[^/]+)\/(?<repo>[^/]+)\/check-runs\/(?<job>\d+)(?:\/.*)?$/,
  /^\/repos\/(?<owner>[^/]+)\/(?<repo>[^/]+)\/actions\/runs\/(?<run>\d+)\/attempts\/(?<attempt>\d+)(?:\/.*)?$/,
  /^\/repos\/(?<owner>[^/]+)\/(?<repo>[^/]+)\/actions\/runs\/(?<run>\d+)(?:\/.*)?$/,
];
/** The checks tab of a pull request names the job in its query. */
const CHECKS_PATH = /^\/(?<owner>[^/]+)\/(?<repo>[^/]+)\/pull\/\d+\/checks$/;

/** Reads what was pasted: with or without scheme, page or API address, of github.com, GHE.com or a GHES host, or a job id. */
export function parseJobReference(text: string): ParsedReference {
  const trimmed = text.trim().replace(/^<(.*)>$/, '$1');
  if (/^\d+$/.test(trimmed)) {
    const jobId = idOf(trimmed);
    return jobId === null
      ? problem('the job id is out of range')
      : { ok: true, reference: { kind: 'id', jobId } };
  }
  const url = urlOf(trimmed);
  if (url === null) return problem('this is neither an address nor a job id');

  const path = url.pathname.replace(/^\/api\/v3(?=\/)/, '').replace(/\/+$/, '');
  const groups = groupsOf(path) ?? checksPage(path, url);
  const { owner, repo } = groups ?? {};
  if (groups === null || owner === undefined || repo === undefined) {
    return problem('this address names no job and no run');
  }
  if (!isNameForKeys(owner) || !isNameForKeys(repo)) {
    return problem('the owner or repository in this address is no name that GitHub allows');
  }
  const [runId, attempt] = [numberIn(groups['run']), numberIn(groups['attempt'])];
  const jobId = numberIn(groups['job'] ?? /^#summary-(\d+)$/.exec(url.hash)?.[1]);
  if (runId === 'bad' || attempt === 'bad' || jobId === 'bad') {
    return problem('an id in this address is out of range');
  }
  return {
    ok: true,
    reference: { kind: 'place', host: hostOf(url), owner, repo, runId, attempt, jobId, ...stepOf(url.hash) },
  };
}

function problem(what: string): ParsedReference {
  return { ok: false, problem: `${what}; ${WHAT_WOULD_DO}` };
}

function urlOf(text: string): URL | null {
  if (text.length > REFERENCE_CHARACTERS_MAX || /\s/.test(text)) return null;
  const withScheme = /^[a-z]+:\/\//i.test(text) ? text : `https://${text}`;
  if (!URL.canParse(withScheme)) return null;
  const url = new URL(withScheme);
  return (url.protocol === 'https:' || url.protocol === 'http:') && url.hostname !== '' ? url : null;
}

/** API paths first: their shape cannot be a page's, while `repos` could be an owner's name. */
function groupsOf(path: string): Readonly<Record<string, string | undefined>> | null {
  for (const pattern of [...API_PATHS, ...WEB_PATHS]) {
    const groups = pattern.exec(path)?.groups;
    if (groups !== undefined) return groups;
  }
  return null;
}

function checksPage(path: string, url: URL): Readonly<Record<string, string | undefined>> | null {
  const groups = CHECKS_PATH.exec(path)?.groups;
  const job = url.searchParams.get('check_run_id');
  return groups === undefined || job === null || !/^\d+$/.test(job) ? null : { ...groups, job };
}

/** The archive's name of a host (CONTRACT, "Words"): the web host, also when the address is the API's. */
function hostOf(url: URL): string {
  const name = url.hostname.toLowerCase();
  if (name === 'api.github.com' || name === 'www.github.com') return 'github.com';
  const [, subdomain] = /^api\.([a-z0-9-]+)\.ghe\.com$/.exec(name) ?? [];
  return subdomain === undefined ? name : `${subdomain}.ghe.com`;
}

function stepOf(hash: string): { step: number | null; line: number | null } {
  const [, step, line] = /^#step:(\d+)(?::(\d+))?$/.exec(hash) ?? [];
  return { step: step === undefined ? null : idOf(step), line: line === undefined ? null : idOf(line) };
}

function numberIn(digits: string | undefined): number | null | 'bad' {
  return digits === undefined ? null : (idOf(digits) ?? 'bad');
}

function idOf(digits: string): number | null {
  const id = Number(digits);
  return Number.isSafeInteger(id) && id > 0 ? id : null;
}
