/**
 * The benchmark: `npm run bench [-- [NAME…] [--quick]]`. Prints a table per area; a run of all areas also writes `results.json` and
 * the picture that the README shows. Exits with 1 if a target was missed.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { endToEnd } from './areas/end-to-end.ts';
import type { Area } from './findings.ts';
import { growth } from './areas/growth.ts';
import { machine, standAside } from './machine.ts';
import { plotOf } from './plot.ts';
import { queue } from './areas/queue.ts';
import { receiver } from './areas/receiver.ts';
import { extentOf, type Extent } from './rounds.ts';
import { sizes } from './areas/sizes.ts';
import { tableOf } from './table.ts';
import { verify } from './areas/verify.ts';
import { web } from './areas/web.ts';
import { worker } from './areas/worker.ts';

const AREAS: Readonly<Record<string, (extent: Extent) => Promise<Area>>> = {
  receiver,
  queue,
  worker,
  sizes,
  'end-to-end': endToEnd,
  growth,
  verify,
  web,
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: 'boolean', default: false } },
});
const unknown = positionals.filter((name) => !Object.hasOwn(AREAS, name));
if (unknown.length > 0) {
  process.stderr.write(
    `no area is called ${unknown.join(' or ')}; there are ${Object.keys(AREAS).join(', ')}\n`,
  );
  process.exit(2);
}

standAside();
const extent = extentOf(values.quick);
const startedAt = new Date();
const areas: Area[] = [];
for (const [name, measure] of Object.entries(AREAS)) {
  if (positionals.length > 0 && !positionals.includes(name)) continue;
  process.stderr.write(`measuring ${name} …\n`);
  const areaStartMs = performance.now();
  const area = await measure(extent);
  process.stderr.write(`measured ${name} in ${Math.round((performance.now() - areaStartMs) / 1000)} s\n`);
  areas.push(area);
  process.stdout.write(tableOf(area));
}

const missed = areas.flatMap(({ findings }) => findings).filter(({ met }) => met === false);
const seconds = Math.round((Date.now() - startedAt.getTime()) / 1000);
process.stdout.write(`\n${seconds} s, ${missed.length} targets missed\n`);
if (positionals.length === 0 && !values.quick) {
  const results = { measured_at: startedAt.toISOString(), seconds, machine: machine(), areas };
  writeFileSync(join(import.meta.dirname, 'results.json'), `${JSON.stringify(results, null, 2)}\n`);
  writeFileSync(join(import.meta.dirname, 'results.svg'), plotOf(areas));
}
process.exitCode = missed.length > 0 ? 1 : 0;
