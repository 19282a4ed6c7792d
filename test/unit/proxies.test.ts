import { describe, expect, test } from 'vitest';
import { proxyFor } from '../../src/proxies.ts';
import { loadConfig } from '../../src/config.ts';

const HTTP = 'http://proxy.test:3128';
const HTTPS = 'http://secure.proxy.test:3129';

describe('proxyFor', () => {
  test.each([
    { noProxy: null, host: 'api.github.com', through: true },
    { noProxy: '', host: 'api.github.com', through: true },
    { noProxy: '*', host: 'api.github.com', through: false },
    { noProxy: '*,localhost', host: 'api.github.com', through: false },
    { noProxy: 'github.com', host: 'github.com', through: false },
    { noProxy: 'github.com', host: 'api.github.com', through: false },
    { noProxy: 'github.com', host: 'notgithub.com', through: true },
    { noProxy: '.github.com', host: 'api.github.com', through: false },
    { noProxy: '*.github.com', host: 'api.github.com', through: false },
    { noProxy: 'GitHub.COM', host: 'api.github.com', through: false },
    { noProxy: 'github.com', host: 'API.GitHub.com', through: false },
    { noProxy: 'one.test two.test', host: 'two.test', through: false },
    { noProxy: ' one.test ,\ttwo.test, ', host: 'two.test', through: false },
    { noProxy: 'one.test:8443', host: 'one.test', port: 8_443, through: false },
    { noProxy: 'one.test:8443', host: 'one.test', through: true },
    { noProxy: 'one.test', host: 'one.test', port: 8_443, through: false },
    { noProxy: '10.1.2.3', host: '10.1.2.3', through: false },
    { noProxy: '10.1.2.3', host: '10.1.2.30', through: true },
    { noProxy: '10.0.0.0/8', host: '10.1.2.3', through: false },
    { noProxy: '10.0.0.0/8', host: '11.1.2.3', through: true },
    { noProxy: '10.0.0.0/8', host: '10.example.com', through: true },
    { noProxy: '0.0.0.0/0', host: 'api.github.com', through: true },
    { noProxy: '10.0.0.0/99', host: '10.1.2.3', through: true },
    { noProxy: 'fd00::/8', host: '[fd12::1]', through: false },
    { noProxy: 'fd00::/8', host: '10.1.2.3', through: true },
    { noProxy: '::1', host: '[::1]', through: false },
    { noProxy: '[::1]:8443', host: '::1', port: 8_443, through: false },
    { noProxy: '[::1]:8443', host: '::1', through: true },
    { noProxy: '::1', host: '[::2]', through: true },
  ])('NO_PROXY=$noProxy, $host $port: through a proxy is $through', ({ noProxy, host, port, through }) => {
    const proxies = { httpProxy: HTTP, httpsProxy: HTTPS, noProxy };
    expect(proxyFor(true, host, port ?? 443, proxies)).toBe(through ? HTTPS : null);
    expect(proxyFor(false, host, port ?? 80, proxies)).toBe(through ? HTTP : null);
  });

  test('one kind of request never takes the proxy of the other', () => {
    expect(proxyFor(true, 'a.test', 443, { httpProxy: HTTP, httpsProxy: null, noProxy: null })).toBeNull();
    expect(proxyFor(false, 'a.test', 80, { httpProxy: null, httpsProxy: HTTPS, noProxy: null })).toBeNull();
  });
});

describe('the environment', () => {
  test.each([
    [{ HTTPS_PROXY: HTTPS }, { httpsProxy: HTTPS, httpProxy: null }],
    [{ https_proxy: HTTPS, HTTPS_PROXY: 'http://other.test' }, { httpsProxy: HTTPS }],
    [{ http_proxy: HTTP }, { httpProxy: HTTP, httpsProxy: null }],
    [
      { HTTP_PROXY: HTTP, HTTPS_PROXY: '' },
      { httpProxy: HTTP, httpsProxy: null },
    ],
    [{ HTTPS_PROXY: 'proxy.test:3128' }, { httpsProxy: 'http://proxy.test:3128' }],
    [{ no_proxy: 'a.test', NO_PROXY: 'b.test' }, { noProxy: 'a.test,localhost,127.0.0.1,::1' }],
    [{}, { httpProxy: null, httpsProxy: null, noProxy: 'localhost,127.0.0.1,::1' }],
  ])('%o gives %o', (env, proxies) => {
    expect(loadConfig({}, env).proxies).toMatchObject(proxies);
  });

  test.each(['socks5://user:hunter2@proxy.test', 'http://', 'http://user:hunter2%ZZ@proxy.test'])(
    '%s is refused without repeating what may be a password',
    (HTTPS_PROXY) => {
      const refused = (): unknown => loadConfig({}, { HTTPS_PROXY });
      expect(refused).toThrow(/HTTPS_PROXY is not the address of an HTTP proxy/);
      expect(refused).not.toThrow(/hunter2/);
    },
  );
});
