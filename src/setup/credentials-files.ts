import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { giveUp, messageOf } from '../errors.ts';
import type { NewApp } from './manifest.ts';
import { makeFolders } from '../folders.ts';

export const PRINT_FORMATS = ['env', 'k8s', 'compose'] as const;
export type PrintFormat = (typeof PRINT_FORMATS)[number];

/** All that a service needs of a new App. */
export interface NewAppCredentials {
  readonly app: NewApp;
  readonly webhookSecret: string;
  /** Set where the host is not github.com. */
  readonly apiUrl: string | null;
}

/**
 * Writes the credentials below `folder`: `app.pem`, `webhook-secret`, and `everlog.env` that names them. Mode 0600; nothing that is
 * there is overwritten.
 * @throws EverlogError `usage` where a file is there already or cannot be written
 */
export async function writeCredentials(
  folder: string,
  credentials: NewAppCredentials,
): Promise<readonly string[]> {
  await makeFolders(folder, 0o700);
  const { app, webhookSecret } = credentials;
  const [pem, secret, client, env] = ['app.pem', 'webhook-secret', 'client-secret', 'everlog.env'].map(
    (name) => join(folder, name),
  );
  if (pem === undefined || secret === undefined || client === undefined || env === undefined)
    throw new Error('four names have four paths');
  const files: readonly (readonly [string, string])[] = [
    [pem, app.privateKey],
    [secret, `${webhookSecret}\n`],
    [client, `${app.clientSecret}\n`],
    [
      env,
      variablesOf(credentials, [
        ['EVERLOG_GITHUB_PRIVATE_KEY_FILE', pem],
        ['EVERLOG_GITHUB_WEBHOOK_SECRET_FILE', secret],
        ['EVERLOG_GITHUB_CLIENT_SECRET_FILE', client],
      ])
        .map(([name, value]) => `${name}=${value}\n`)
        .join(''),
    ],
  ];
  for (const [path, text] of files) await writeNew(path, text);
  return files.map(([path]) => path);
}

async function writeNew(path: string, text: string): Promise<void> {
  try {
    const file = await open(path, 'wx', 0o600);
    try {
      await file.writeFile(text);
    } finally {
      await file.close();
    }
  } catch (error) {
    throw giveUp('usage', `cannot write ${path}: ${messageOf(error)}; give another folder with --out`);
  }
}

/** The credentials as text for a secret store. */
export function printedCredentials(credentials: NewAppCredentials, format: PrintFormat): string {
  const { app, webhookSecret } = credentials;
  const variables = variablesOf(credentials, [
    ['EVERLOG_GITHUB_PRIVATE_KEY', app.privateKey.trim().replaceAll('\n', '\\n')],
    ['EVERLOG_GITHUB_WEBHOOK_SECRET', webhookSecret],
    ['EVERLOG_GITHUB_CLIENT_SECRET', app.clientSecret],
  ]);
  if (format === 'env') return variables.map(([name, value]) => `${name}="${value}"\n`).join('');
  if (format === 'compose') return variables.map(([name, value]) => `${name}=${value}\n`).join('');
  const data = variables
    .map(([name, value]) => `  ${name}: ${Buffer.from(value).toString('base64')}\n`)
    .join('');
  return `apiVersion: v1\nkind: Secret\nmetadata:\n  name: everlog-github\ntype: Opaque\ndata:\n${data}`;
}

function variablesOf(
  { app, apiUrl }: NewAppCredentials,
  secrets: readonly (readonly [string, string])[],
): readonly (readonly [string, string])[] {
  return [
    ['EVERLOG_GITHUB_APP_ID', String(app.id)],
    ['EVERLOG_GITHUB_CLIENT_ID', app.clientId],
    ...(apiUrl === null ? [] : ([['EVERLOG_GITHUB_API_URL', apiUrl]] as const)),
    ...secrets,
  ];
}
