import { parseKey } from '../archive/keys.ts';
import type { ReadingHooks } from '../archive/find/find-records.ts';
import type { JobRecord } from '../archive/record.ts';
import type { Reader } from './access/access.ts';
import { html, type Html } from './html.ts';

/** Problems named one by one; more are counted. */
const NAMED_MAX = 5;
const KEPT_MAX = 1_000;

/** What could not be read while a page was made: told on it, as commands do, to those who may know of it. */
export class ReadProblems {
  readonly #found: { readonly key: string; readonly what: string }[] = [];
  #count = 0;

  readonly hooks: Pick<ReadingHooks, 'onProblem' | 'onOddity'> = {
    onProblem: (key, problem) => {
      this.#count += 1;
      if (this.#found.length < KEPT_MAX) this.#found.push({ key, what: problem });
    },
  };

  /** Of these repositories, by `repositoryPlace`; of all for who reads all. */
  shownTo(reader: Reader, places: ReadonlySet<string>): number {
    return reader.readsAll ? this.#count : this.#of(places).length;
  }

  /** The problems of what a reader may read, named; nothing where there are none. */
  told(reader: Reader, places: ReadonlySet<string>): Html {
    const shown = reader.readsAll ? this.#found : this.#of(places);
    const count = this.shownTo(reader, places);
    if (count === 0) return html``;
    const more = count - Math.min(shown.length, NAMED_MAX);
    return html`<div class="seal wrong" role="alert">
      <b class="bad">Not all could be read.</b> What is shown here may be incomplete, or not the last word:
      <ul>
        ${shown
          .slice(0, NAMED_MAX)
          .map(
            ({ key, what }) => html`<li><code>${key}</code>: ${what}</li>`,
          )}${more > 0 ? html`<li>and ${more} more</li>` : ''}
      </ul>
    </div>`;
  }

  #of(places: ReadonlySet<string>): readonly { readonly key: string; readonly what: string }[] {
    return this.#found.filter(({ key }) => {
      const parsed = parseKey(key);
      return parsed !== null && 'address' in parsed && places.has(repositoryPlace(parsed.address));
    });
  }
}

/** A repository under one of its names. */
export function repositoryPlace({ host, owner, repo }: Pick<JobRecord, 'host' | 'owner' | 'repo'>): string {
  return `${host}/${owner}/${repo}`.toLowerCase();
}
