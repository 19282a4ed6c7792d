import { html, type Html } from './html.ts';

/** What the service says of itself; null where it could not be asked. */
export interface StatusFacts {
  readonly archive: string;
  readonly queue: {
    readonly location: string;
    readonly waiting: number;
    readonly active: number;
    readonly failed: number;
  } | null;
  readonly lastDigest: { readonly sequence: number; readonly at: string } | null;
  readonly reconciledThrough: string | null;
  /** Commits that no digest holds yet. */
  readonly pendingCommits: number | null;
}

/** For operators: whether it keeps up. What is not known is said to be so. */
export function statusPage(facts: StatusFacts): Html {
  const unknown = 'not known here';
  const rows: readonly (readonly [string, string])[] = [
    ['Archive', facts.archive],
    ['Queue', facts.queue === null ? unknown : facts.queue.location],
    ['Jobs waiting', facts.queue === null ? unknown : String(facts.queue.waiting)],
    ['Jobs at work', facts.queue === null ? unknown : String(facts.queue.active)],
    ['Jobs failed', facts.queue === null ? unknown : String(facts.queue.failed)],
    [
      'Last digest',
      facts.lastDigest === null ? unknown : `${facts.lastDigest.sequence}, ${facts.lastDigest.at}`,
    ],
    ['Not sealed yet', facts.pendingCommits === null ? unknown : `${facts.pendingCommits} objects`],
    ['Compared with GitHub through', facts.reconciledThrough ?? unknown],
  ];
  return html`<h1>Status</h1>
    <table>
      ${rows.map(
        ([name, value]) =>
          html`<tr>
            <th scope="row">${name}</th>
            <td>${value}</td>
          </tr>`,
      )}
    </table>
    <p class="facts">
      More: <code>everlog status</code>, <code>everlog doctor</code>, and the metrics of the admin address.
    </p>`;
}
