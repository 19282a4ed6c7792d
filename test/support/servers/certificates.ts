import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A private certificate authority and one server certificate of its own, made for the test that asks. */
export interface Certificates {
  /** Path of the authority's PEM file, as NODE_EXTRA_CA_CERTS takes it. */
  readonly caFile: string;
  readonly key: string;
  readonly cert: string;
}

/** A program of the system: Node can make keys, but not certificates. */
const OPENSSL = '/usr/bin/openssl';

/** Makes them in `folder` with openssl. `names` are DNS names or IPv4 addresses. */
export function makeCertificates(folder: string, names: readonly string[]): Certificates {
  const path = (name: string): string => join(folder, name);
  const openssl = (line: string): void =>
    void execFileSync(OPENSSL, line.split(' '), { stdio: 'pipe', cwd: folder });
  const key = '-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes';
  openssl(`req -x509 ${key} -days 2 -subj /CN=Test-CA -keyout ca.key -out ca.pem`);
  openssl(`req -new ${key} -subj /CN=server -keyout server.key -out server.csr`);
  const alternatives = names.map((name) => (/^[\d.]+$/.test(name) ? `IP:${name}` : `DNS:${name}`));
  writeFileSync(path('server.ext'), `subjectAltName=${alternatives.join(',')}\n`);
  openssl(
    'x509 -req -in server.csr -days 2 -extfile server.ext -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem',
  );
  return {
    caFile: path('ca.pem'),
    key: readFileSync(path('server.key'), 'utf8'),
    cert: readFileSync(path('server.pem'), 'utf8'),
  };
}
