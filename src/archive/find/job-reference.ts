import { isNameForKeys } from '../keys.ts';

/** What a person points at: a page or API address of GitHub's, or a bare id. */
export type JobReference =
  /** A bare id does not say whether it is a job's or a run's; `host` is known of `HOST/ID`. */
  | { readonly kind: 'id'; readonly host: string | null; readonly id: number }
  /** At least one of `runId` and `jobId` is known. */
  | {
      readonly kind: 'place';
      /** Null where the address has none, as in `OWNER/REPO/actions/runs/RUN`. */
      readonly host: string | null;
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

/** An address that names jobs by what they were run for. */
export interface CodeAddress {
  readonly kind: 'commit' | 'pull' | 'repository';
  readonly host: string | null;
  readonly owner: string;
  readonly repo: string;
  /** Lower-case hash, or how it begins; only of a commit. */
  readonly sha: string | null;
  /** Number of a pull request. */
  readonly number: number | null;
}

export type ParsedAddress =
  | { readonly ok: true; readonly address: JobReference | CodeAddress }
  | { readonly ok: false; readonly problem: string };

export type ParsedReference =
  | { readonly ok: true; readonly reference: JobReference }
  /** `problem` says what is wrong and what would do; it holds nothing of the address but what was recognised. */
  | { readonly ok: false; readonly problem: string };

/** An address longer than this was not made by GitHub: the longest names give about 400 characters. */
const REFERENCE_CHARACTERS_MAX = 2_000;

const WHAT_WOULD_DO =
  'give the address of a job or run as the browser shows it (https://github.com/OWNER/REPO/actions/runs/RUN/job/JOB), its API address, or the id of a job or run';

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

/** Addresses of what jobs are run for, below `/OWNER/REPO`. */
const CODE_PATHS: readonly { readonly kind: CodeAddress['kind']; readonly path: RegExp }[] = [
  { kind: 'commit', path: /^(?:\/repos)?\/([^/]+)\/([^/]+)\/commits?\/(?<sha>[0-9a-fA-F]{7,64})(?:\/.*)?$/ },
  { kind: 'pull', path: /^(?:\/repos)?\/([^/]+)\/([^/]+)\/pulls?\/(?<number>\d+)(?:\/.*)?$/ },
  { kind: 'repository', path: /^\/([^/]+)\/([^/]+?)(?:\.git)?(?:\/actions(?:\/runs|\/workflows\/[^/]+)?)?$/ },
];
/** Begins with owner and repository where it has no host: a host's name has a dot, an owner's never. */
const HOSTLESS = /^[A-Za-z0-9_-]+\/[A-Za-z0-9_.-]+(?:\/(?:actions|runs|commit|pull)(?:\/|$).*)?$/;
/** Stands for the host of an address that has none; no GitHub can have this name. */
const NO_HOST = 'host.invalid';

/**
 * Reads what was pasted to name a job or run: with or without scheme and host, page or API address, of github.com, GHE.com or a
 * GHES host; a bare id, or `HOST/ID`.
 */
export function parseJobReference(text: string): ParsedReference {
  const parsed = parseAddress(text);
  if (!parsed.ok) return parsed;
  const { address } = parsed;
  if (address.kind === 'id' || address.kind === 'place') return { ok: true, reference: address };
  const { host, owner, repo, sha, number } = address;
  const where = `${host === null || host === 'github.com' ? '' : `https://${host}/`}${owner}/${repo}`;
  const filter = sha === null ? (number === null ? '' : ` --pr ${number}`) : ` --sha ${sha}`;
  const what = { commit: 'a commit', pull: 'a pull request', repository: 'a repository' }[address.kind];
  return problem(`this is the address of ${what}; its jobs: everlog ls --repo ${where}${filter}`);
}

/** Reads any address that a person may paste: of a job or run, and of a commit, pull request or repository. */
export function parseAddress(text: string): ParsedAddress {
  const trimmed = text.trim().replace(/^<(.*)>$/, '$1');
  const [, host, id] = /^(?:([a-z0-9.-]+)(?::\d+)?\/)?(\d+)$/i.exec(trimmed) ?? [];
  if (id !== undefined) {
    const number = parseId(id);
    return number === null
      ? problem('the id is out of range')
      : { ok: true, address: { kind: 'id', host: host?.toLowerCase() ?? null, id: number } };
  }
  const url = urlOf(HOSTLESS.test(trimmed) ? `${NO_HOST}/${trimmed}` : trimmed);
  if (url === null) return problem('this is neither an address nor an id');

  const path = url.pathname.replace(/^\/api\/v3(?=\/)/, '').replace(/\/+$/, '');
  const groups = groupsOf(path) ?? checksPage(path, url);
  const { owner, repo } = groups ?? {};
  if (groups === null || owner === undefined || repo === undefined) return codeAddressOf(path, url);
  if (!isNameForKeys(owner) || !isNameForKeys(repo)) {
    return problem('the owner or repository in this address is no name that GitHub allows');
  }
  const [runId, attempt] = [optionalId(groups['run']), optionalId(groups['attempt'])];
  const jobId = optionalId(groups['job'] ?? /^#summary-(\d+)$/.exec(url.hash)?.[1]);
  if (runId === 'bad' || attempt === 'bad' || jobId === 'bad') {
    return problem('an id in this address is out of range');
  }
  return {
    ok: true,
    address: { kind: 'place', host: hostOf(url), owner, repo, runId, attempt, jobId, ...stepOf(url) },
  };
}

function codeAddressOf(path: string, url: URL): ParsedAddress {
  for (const { kind, path: pattern } of CODE_PATHS) {
    const match = pattern.exec(path);
    const [, owner = '', repo = ''] = match ?? [];
    if (match === null || !isNameForKeys(owner) || !isNameForKeys(repo)) continue;
    const { sha, number } = match.groups ?? {};
    return {
      ok: true,
      address: {
        kind,
        host: hostOf(url),
        owner,
        repo,
        sha: sha?.toLowerCase() ?? null,
        number: number === undefined ? null : parseId(number),
      },
    };
  }
  return problem('this address names no job and no run');
}

function problem(what: string): { readonly ok: false; readonly problem: string } {
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
function hostOf(url: URL): string | null {
  const name = url.hostname.toLowerCase();
  if (name === NO_HOST) return null;
  if (name === 'api.github.com' || name === 'www.github.com') return 'github.com';
  const [, subdomain] = /^api\.([a-z0-9-]+)\.ghe\.com$/.exec(name) ?? [];
  return subdomain === undefined ? name : `${subdomain}.ghe.com`;
}

/** GitHub's fragment `#step:5:120`, or `?step=5` and `?line=120`, which servers see. */
function stepOf(url: URL): { step: number | null; line: number | null } {
  const [, step, line] = /^#step:(\d+)(?::(\d+))?$/.exec(url.hash) ?? [];
  return {
    step: parseId(step ?? url.searchParams.get('step') ?? ''),
    line: parseId(line ?? (step === undefined ? url.searchParams.get('line') : null) ?? ''),
  };
}

function optionalId(digits: string | undefined): number | null | 'bad' {
  return digits === undefined ? null : (parseId(digits) ?? 'bad');
}

function parseId(digits: string): number | null {
  const id = Number(digits);
  return Number.isSafeInteger(id) && id > 0 ? id : null;
}
