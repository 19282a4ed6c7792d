import Table from 'cli-table3';
import type { Area, Finding, Side } from './findings.ts';

const HEAD = ['measured', 'limit', 'peer', 'Everlog', 'ratio', 'target', 'spread'];

/** An area as a table for people. */
export function tableOf(area: Area): string {
  const table = new Table({ head: HEAD, style: { head: [], border: [] } });
  for (const finding of area.findings) table.push(rowOf(finding));
  const notes = area.notes.map((note) => `  ${note}\n`).join('');
  return `\n${area.title}\n${table.toString()}\n${notes}`;
}

function rowOf(finding: Finding): string[] {
  return [
    `${finding.what}, ${finding.unit}`,
    sideOf(finding.limit),
    sideOf(finding.peer),
    numberOf(finding.everlog),
    finding.ratio === null ? '' : finding.ratio.toFixed(2),
    targetOf(finding),
    finding.spread === null ? '' : `±${Math.round(finding.spread * 100)} %`,
  ];
}

function sideOf(side: Side | null): string {
  return side === null ? '' : `${numberOf(side.value)} ${side.name}`;
}

function targetOf({ target, met }: Finding): string {
  if (target === null) return '';
  return `${target.bound} ${numberOf(target.value)}: ${met === true ? 'met' : 'NOT met'}`;
}

/** Three digits that count, thousands apart. */
export function numberOf(value: number): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString('en-GB', { maximumFractionDigits: digits });
}
