import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

/** A time stamp authority made of `openssl ts` behind HTTP. */
export interface TimeStampAuthority {
  readonly url: URL;
  /** Its certificate, PEM, for `openssl ts -verify -CAfile`. */
  readonly certificatePath: string;
  /** What is done to an answer before it is sent. */
  alter: (reply: Buffer) => { status: number; body: Buffer };
  /** The query that is answered in place of the one that came; null for that one. */
  answerTo: Buffer | null;
  /** Queries so far. */
  readonly queries: readonly Buffer[];
}

const OPENSSL = '/usr/bin/openssl';

const TSA_CONFIG = `
[tsa]
default_tsa = test_tsa
[test_tsa]
serial = ./serial
crypto_device = builtin
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ordering = yes
tsa_name = yes
ess_cert_id_chain = no
ess_cert_id_alg = sha256
[req]
distinguished_name = name
[name]
`;

/** Starts it; it ends with the test. */
export async function startTimeStampAuthority(): Promise<TimeStampAuthority> {
  const folder = mkdtempSync(join(tmpdir(), 'everlog-tsa-'));
  const openssl = (...args: readonly string[]): Buffer =>
    execFileSync(OPENSSL, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  writeFileSync(join(folder, 'tsa.cnf'), TSA_CONFIG);
  writeFileSync(join(folder, 'serial'), '01\n');
  const key = [
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-keyout',
    'tsa.key',
    '-out',
    'tsa.crt',
    '-config',
    'tsa.cnf',
  ];
  const extension = ['-addext', 'extendedKeyUsage=critical,timeStamping'];
  openssl('req', '-x509', ...key, '-subj', '/CN=Test authority', '-days', '10', ...extension);
  const queries: Buffer[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const query = Buffer.concat(chunks);
      queries.push(query);
      writeFileSync(join(folder, 'query'), authority.answerTo ?? query);
      const signer = ['-inkey', 'tsa.key', '-signer', 'tsa.crt', '-config', 'tsa.cnf'];
      openssl('ts', '-reply', '-queryfile', 'query', ...signer, '-out', 'reply');
      const { status, body } = authority.alter(readFileSync(join(folder, 'reply')));
      response.writeHead(status, { 'content-type': 'application/timestamp-reply' });
      response.end(body);
    });
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the authority has no port');
  const authority: TimeStampAuthority = {
    url: new URL(`http://127.0.0.1:${address.port}/tsr`),
    certificatePath: join(folder, 'tsa.crt'),
    alter: (body) => ({ status: 200, body }),
    answerTo: null,
    queries,
  };
  return authority;
}

/** What `openssl ts -verify` says of a time stamp of a file. */
export function verifyTimeStamp(reply: string, data: string, certificate: string): string {
  const args = ['ts', '-verify', '-in', reply, '-data', data, '-CAfile', certificate];
  const { stdout, stderr } = spawnSync(OPENSSL, args);
  return `${stdout.toString()}${stderr.toString()}`;
}
