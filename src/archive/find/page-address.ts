/** What a web page's address names. */
export interface PagePlace {
  readonly host: string;
  readonly owner: string;
  readonly repo: string;
  readonly runId: number;
  readonly attempt?: number | null;
  readonly jobId: number | null;
}

/** The address of a run or job on the web page that stands at `base`: GitHub's own path, below `/-/h/HOST` for other hosts. */
export function pageAddress(base: string, place: PagePlace): string {
  const { host, owner, repo, runId, attempt = null, jobId } = place;
  const names = [owner, repo].map(encodeURIComponent).join('/');
  const other = host === 'github.com' ? '' : `/-/h/${encodeURIComponent(host)}`;
  const run = `${base}${other}/${names}/actions/runs/${runId}`;
  if (jobId !== null) return `${run}/job/${jobId}`;
  return attempt === null ? run : `${run}/attempts/${attempt}`;
}
