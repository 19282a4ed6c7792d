import { expect, test } from 'vitest';
import { loadConfig } from '../../../src/config.ts';
import { proxyAccess } from '../../../src/web/access/access.ts';

const SECRET = 's'.repeat(32);

function auth(header: string): unknown {
  const env = {
    EVERLOG_WEB_LISTEN: '127.0.0.1:0',
    EVERLOG_WEB_AUTH: 'proxy',
    EVERLOG_WEB_PROXY_CIDRS: '10.0.0.7/32',
    EVERLOG_WEB_PROXY_SECRET: SECRET,
    EVERLOG_WEB_PROXY_HEADER: header,
  };
  return loadConfig({ web: true }, env).web.auth;
}

test.each(['X-Everlog-Proxy-Secret', 'X-User:', 'two words'])('a proxy names nobody in %s', (header) => {
  expect(() => auth(header)).toThrow('EVERLOG_WEB_PROXY_HEADER is no header that can name a person');
});

test('a proxy names people in the header that is given', () => {
  expect(auth('X-Auth_Request.User')).toMatchObject({ header: 'X-Auth_Request.User' });
});

test('people are named by their letters', async () => {
  const access = proxyAccess({ cidrs: ['10.0.0.7/32'], header: 'X-User', secret: SECRET });
  for (const [sent, name] of [
    [Buffer.from('Zoë').toString('latin1'), 'Zoë'],
    ['Zo\u00eb', 'Zo\u00eb'],
  ] as const) {
    const headers = new Map([
      ['x-user', [sent]],
      ['x-everlog-proxy-secret', [SECRET]],
    ]);
    expect(await access.readerOf({ remoteAddress: '10.0.0.7', headers })).toMatchObject({ name });
  }
});
