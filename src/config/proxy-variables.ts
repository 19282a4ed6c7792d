import type { ProxySettings } from '../proxies.ts';
import type { Variables } from './variables.ts';

/** The proxies that the environment names, each variable in lower or upper case; lower case wins, as everywhere. */
export function proxiesFromVariables(variables: Variables): ProxySettings {
  return {
    httpProxy: proxyUrl(variables, 'http_proxy') ?? proxyUrl(variables, 'HTTP_PROXY'),
    httpsProxy: proxyUrl(variables, 'https_proxy') ?? proxyUrl(variables, 'HTTPS_PROXY'),
    // What listens on this machine is never meant to be reached by way of a proxy.
    noProxy: [variables.text('no_proxy') ?? variables.text('NO_PROXY'), 'localhost,127.0.0.1,::1']
      .filter(Boolean)
      .join(','),
  };
}

/** Without a scheme it is http, as curl has it. What stands in it is not repeated: it may hold a password. */
function proxyUrl(variables: Variables, name: string): string | null {
  const text = variables.text(name)?.trim() ?? null;
  if (text === null) return null;
  const full = text.includes('://') ? text : `http://${text}`;
  const url = URL.canParse(full) ? new URL(full) : null;
  if (url !== null && (url.protocol === 'http:' || url.protocol === 'https:') && decodes(url)) return full;
  variables.problem(name, 'is not the address of an HTTP proxy, such as http://proxy.example.com:3128');
  return null;
}

function decodes({ username, password }: URL): boolean {
  try {
    decodeURIComponent(username + password);
    return true;
  } catch {
    return false;
  }
}
