import type { Area, Finding } from './findings.ts';
import { numberOf } from './table.ts';

/** The targets as one picture: how far each result is on the good side of its target, on a logarithmic scale. */

const LABEL_WIDTH = 470;
const BAR_WIDTH = 300;
const VALUE_WIDTH = 260;
const ROW_HEIGHT = 22;
const TOP = 44;
/** The scale's ends, as multiples of the target. */
const SCALE_MAX = 8;
const FONT = 'font-family="system-ui, sans-serif" font-size="12"';

/** An SVG document. Colours are readable on light and on dark ground. */
export function plotOf(areas: readonly Area[]): string {
  const rows = areas.flatMap((area) => area.findings).filter(({ target }) => target !== null);
  const width = LABEL_WIDTH + BAR_WIDTH + VALUE_WIDTH;
  const height = TOP + rows.length * ROW_HEIGHT + 12;
  const middle = LABEL_WIDTH + BAR_WIDTH / 2;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`,
    '<title>Results of the benchmark, each as a multiple of its target</title>',
    `<g ${FONT} fill="#888">`,
    `<text x="${middle}" y="18" text-anchor="middle">target</text>`,
    `<text x="${LABEL_WIDTH}" y="34">${SCALE_MAX}× worse or more</text>`,
    `<text x="${LABEL_WIDTH + BAR_WIDTH}" y="34" text-anchor="end">${SCALE_MAX}× better or more</text>`,
    ...rows.map(bar),
    `<line x1="${middle}" x2="${middle}" y1="24" y2="${height - 8}" stroke="#888"/>`,
    '</g>',
    '</svg>',
    '',
  ].join('\n');
}

function bar(finding: Finding, row: number): string {
  const margin = marginOf(finding);
  const y = TOP + row * ROW_HEIGHT;
  const middle = LABEL_WIDTH + BAR_WIDTH / 2;
  const share = Math.log(margin) / Math.log(SCALE_MAX);
  const length = Math.max(2, (Math.min(Math.abs(share), 1) * BAR_WIDTH) / 2);
  const x = share < 0 ? middle - length : middle;
  const value = finding.ratio ?? finding.everlog;
  const unit = finding.ratio === null ? ` ${finding.unit}` : ' ×';
  const wanted =
    finding.target === null ? '' : ` (${finding.target.bound} ${numberOf(finding.target.value)})`;
  return [
    `<text x="${LABEL_WIDTH - 8}" y="${y + 14}" text-anchor="end">${escaped(labelOf(finding))}</text>`,
    `<rect x="${x.toFixed(1)}" y="${y + 3}" width="${length.toFixed(1)}" height="15" fill="${margin < 1 ? '#c2410c' : '#15803d'}"/>`,
    `<text x="${LABEL_WIDTH + BAR_WIDTH + 8}" y="${y + 14}">${escaped(numberOf(value) + unit + wanted)}</text>`,
  ].join('\n');
}

function labelOf({ what, limit, peer }: Finding): string {
  const against = limit ?? peer;
  return against === null ? what : `${what} ÷ ${against.name}`;
}

/** Above 1 where the target is met, whichever way it points. */
function marginOf({ ratio, everlog, target }: Finding): number {
  const value = Math.max(ratio ?? everlog, Number.MIN_VALUE);
  if (target === null) throw new Error('only targets are drawn');
  return target.bound === 'at least' ? value / target.value : target.value / value;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
