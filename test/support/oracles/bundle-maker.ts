import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { VERIFY_SCRIPT } from '../../../src/ledger/export/bundle/verify-script.ts';
import { auditPath, folderPut, sha256 } from './ledger-maker.ts';

/** Makes of an archive in a folder the bundle that holds all of it, whatever is wrong with it, without the product's export. */
export function makeBundle(archive: string, bundle: string): void {
  cpSync(archive, bundle, { recursive: true });
  rmSync(join(bundle, 'v1/names'), { recursive: true, force: true });
  const put = folderPut(bundle);
  const digests = join(bundle, 'ledger/digests');
  for (const sequence of existsSync(digests) ? readdirSync(digests).sort() : []) {
    const folder = join(digests, sequence);
    const file = readdirSync(folder).find((name) => name.endsWith('.entries.ndjson.gz'));
    if (file === undefined) continue;
    const lines = linesOf(gunzipSync(readFileSync(join(folder, file))));
    rmSync(join(folder, file));
    for (const name of readdirSync(folder)) if (name.endsWith('.ndjson')) rmSync(join(folder, name));
    if (lines.length === 0) continue;
    const paths = lines.map((line, index) => ({
      index,
      leaf: sha256(Buffer.concat([Buffer.of(0), line])),
      path: auditPath(index, lines).map((hash) => hash.toString('hex')),
    }));
    put(`entries/${sequence}.ndjson`, Buffer.from(lines.map((line) => `${line.toString()}\n`).join('')));
    put(
      `entries/${sequence}.paths.ndjson`,
      Buffer.from(paths.map((path) => `${JSON.stringify(path)}\n`).join('')),
    );
  }
  writeFileSync(join(bundle, 'verify.sh'), VERIFY_SCRIPT);
}

function linesOf(raw: Buffer): Buffer[] {
  const lines = raw.toString().split('\n').slice(0, -1);
  return lines.map((line) => Buffer.from(line));
}
