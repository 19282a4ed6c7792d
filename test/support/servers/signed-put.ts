import { createHash, createHmac } from 'node:crypto';
import { request as httpRequest } from 'undici';
import type { S3Fake } from './s3-fake/s3-fake.ts';

/** Signs by the letter of AWS's description, for requests the SDK would not send. */
export async function signedPut(
  fake: S3Fake,
  path: string,
  body: string,
  extra: Record<string, string>,
): Promise<string> {
  const stamp = new Date().toISOString().replaceAll(/[-:]|\.\d+/g, '');
  const headers: Record<string, string> = {
    host: new URL(fake.endpoint).host,
    'x-amz-date': stamp,
    ...extra,
  };
  const names = Object.keys(headers).sort();
  const lines = names.map((name) => `${name}:${headers[name] ?? ''}\n`).join('');
  const payload = headers['x-amz-content-sha256'] ?? '';
  const canonical = ['PUT', path, '', lines, names.join(';'), payload].join('\n');
  const scope = `${stamp.slice(0, 8)}/us-east-1/s3/aws4_request`;
  const digest = createHash('sha256').update(canonical).digest('hex');
  const hmac = (key: Buffer | string, data: string): Buffer =>
    createHmac('sha256', key).update(data).digest();
  const dateKey = hmac(`AWS4${fake.secretAccessKey}`, stamp.slice(0, 8));
  const signingKey = hmac(hmac(hmac(dateKey, 'us-east-1'), 's3'), 'aws4_request');
  const signature = hmac(signingKey, ['AWS4-HMAC-SHA256', stamp, scope, digest].join('\n')).toString('hex');
  const credential = `Credential=${fake.accessKeyId}/${scope}`;
  const authorization = `AWS4-HMAC-SHA256 ${credential},SignedHeaders=${names.join(';')},Signature=${signature}`;
  const answer = await httpRequest(`${fake.endpoint}${path}`, {
    method: 'PUT',
    body,
    headers: { ...headers, authorization },
  });
  return answer.body.text();
}
