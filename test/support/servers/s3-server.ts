import { startCephGateway } from './ceph-gateway.ts';
import { probeCreateOnly, s3Server, type S3Server } from './s3-connection.ts';

/** The server that `TEST_S3_ENDPOINT` (with `TEST_S3_ACCESS_KEY_ID` and `_SECRET_ACCESS_KEY`) names, else a Ceph gateway. */
export async function startS3(): Promise<S3Server> {
  return (await givenS3()) ?? startCephGateway();
}

async function givenS3(): Promise<S3Server | undefined> {
  const endpoint = process.env['TEST_S3_ENDPOINT'];
  if (endpoint === undefined || endpoint === '') return undefined;
  const accessKeyId = process.env['TEST_S3_ACCESS_KEY_ID'];
  const secretAccessKey = process.env['TEST_S3_SECRET_ACCESS_KEY'];
  if (!accessKeyId || !secretAccessKey) {
    throw new Error('TEST_S3_ENDPOINT needs TEST_S3_ACCESS_KEY_ID and TEST_S3_SECRET_ACCESS_KEY beside it');
  }
  const reach = { endpoint, accessKeyId, secretAccessKey, region: 'us-east-1' as const };
  const honoursCreateOnly = await probeCreateOnly(reach);
  return s3Server({ ...reach, kind: 'given', honoursCreateOnly }, async () => {});
}
