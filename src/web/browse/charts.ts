import { html, type Html } from '../html.ts';

/** One bar: what it stands for, and how much it is. */
export interface Bar {
  readonly label: string;
  readonly value: number;
}

const WIDTH = 240;
const HEIGHT = 48;
const GAP = 2;
/** So that little is told from nothing. */
const BAR_HEIGHT_MIN = 1;

/** A small chart of bars; what it shows stands in words beside it and on each bar. */
export function barChart(
  title: string,
  bars: readonly Bar[],
  format: (value: number) => string,
  tone: 'ok' | 'bad' | 'plain' = 'plain',
): Html {
  const most = bars.reduce((max, { value }) => Math.max(max, value), 0);
  const step = WIDTH / Math.max(1, bars.length);
  const [first, last] = [bars[0], bars.at(-1)];
  if (first === undefined || last === undefined) return html``;
  const summary = `${title}: from ${first.label} to ${last.label}, at most ${format(most)}, last ${format(last.value)}`;
  return html`<figure class="chart ${tone}">
    <figcaption>${title} <span class="dim">at most ${format(most)}</span></figcaption>
    <svg
      viewBox="0 0 ${WIDTH} ${HEIGHT}"
      width="${WIDTH}"
      height="${HEIGHT}"
      role="img"
      aria-label="${summary}"
    >
      ${bars.map(({ label, value }, index) => {
        const height = value === 0 ? 0 : Math.max(BAR_HEIGHT_MIN, Math.round((value / most) * HEIGHT));
        return html`<rect
          x="${Math.round(index * step * 10) / 10}"
          y="${HEIGHT - height}"
          width="${Math.max(1, Math.round((step - GAP) * 10) / 10)}"
          height="${height}"
          ><title>${label}: ${format(value)}</title></rect
        >`;
      })}
    </svg>
    <span class="dim ends"><span>${first.label}</span><span>${last.label}</span></span>
  </figure>`;
}

/** `1.5 GiB`. */
export function bytesText(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let [value, unit] = [bytes, 0];
  while (value >= 1024 && unit < units.length - 1) [value, unit] = [value / 1024, unit + 1];
  return `${value < 10 && unit > 0 ? value.toFixed(1) : Math.round(value)} ${units[unit] ?? ''}`;
}

/** `12,345`. */
export function countText(count: number): string {
  return count.toLocaleString('en-US');
}
