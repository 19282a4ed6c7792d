import type { HostAccess } from '../../../workers/archive-run.ts';
import type { InSpan } from '../../spans.ts';
import type { ObjectStore } from '../../store/object-store.ts';

/** The archive, with a span for each object that is written. */
export function tracedStore(store: ObjectStore, inSpan: InSpan): ObjectStore {
  return {
    ...store,
    putIfAbsent: (key, body, options) =>
      inSpan(
        'store put',
        { 'everlog.key': key, 'everlog.bytes': body.bytes },
        () => store.putIfAbsent(key, body, options),
        ({ outcome }) => ({ 'everlog.outcome': outcome }),
      ),
  };
}

/** A GitHub host, with a span for each call. A log's link is no part of any. */
export function tracedHost(host: HostAccess, inSpan: InSpan): HostAccess {
  const { api } = host;
  const about = { 'everlog.host': api.host.host };
  return {
    api: {
      ...api,
      get: (path, repository, held) =>
        inSpan(
          'github get',
          { ...about, 'url.path': path.split('?', 1).join('') },
          () => api.get(path, repository, held),
          ({ status }) => ({ 'http.response.status_code': status }),
        ),
    },
    lookUpLog: (ref) =>
      inSpan(
        'github log',
        { ...about, 'everlog.job_id': ref.jobId },
        () => host.lookUpLog(ref),
        ({ kind }) => ({ 'everlog.outcome': kind }),
      ),
  };
}
