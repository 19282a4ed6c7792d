import type { StoredRecord } from '../../archive/find/find-records.ts';
import { digestKey } from '../../archive/keys.ts';
import { html, type Html } from '../html.ts';
import type { SealState } from '../seal.ts';
import { factsHtml, titleOf } from './job-facts.ts';

/** What is known of a job's truth, and no more; `isWhole` says how much of its log was checked, null where it has none. */
export function sealLine(seal: SealState, isWhole: boolean | null, address: string): Html {
  const bytes =
    isWhole === null
      ? ''
      : isWhole
        ? 'The log’s SHA-256 was checked just now.'
        : 'Each block shown was checked against its SHA-256, or the log as a whole.';
  switch (seal.kind) {
    case 'changed':
      return html`<p class="seal wrong" role="alert">
        <b class="bad">Not what was archived:</b> ${seal.why}. <a href="${address}/proof">Details</a>
      </p>`;
    case 'unreadable':
      return html`<p class="seal wrong">
        ${bytes} <b class="bad">The ledger cannot be read here:</b> ${seal.why}.
        <a href="${address}/proof">Details</a>
      </p>`;
    case 'not_sealed':
      return seal.isOverdue
        ? html`<p class="seal wrong">
            ${bytes} <b class="bad">Not sealed:</b> digests made since the record was written do not have it.
            Run <code>everlog verify</code>.
          </p>`
        : html`<p class="seal">
            ${bytes} <b>Not sealed yet:</b> the record stands in no digest yet, so nothing proves that it was
            not changed.
          </p>`;
    case 'sealed': {
      const { sequence, sealedAt, keyId, isSigned, isRevoked } = seal;
      const at = sealedAt.slice(0, 16).replace('T', ' ');
      if (!isSigned)
        return html`<p class="seal wrong" role="alert">
          ${bytes} <b class="bad">The signature of digest ${sequence} is not good.</b>
          <a href="${address}/proof">Details</a>
        </p>`;
      if (isRevoked)
        return html`<p class="seal wrong">
          ${bytes} In digest ${sequence} of ${at} UTC, <b class="bad">whose key was revoked</b>; from when on
          is for <code>everlog verify</code> to say. <a href="${address}/proof">Details</a>
        </p>`;
      return html`<p class="seal good">
        ${bytes} <b class="ok">Sealed</b> in digest ${sequence} of ${at} UTC, signed by key
        <code>${keyId.slice(0, 16)}</code> (named by the archive, not pinned).
        <a href="${address}/proof">Proof</a>
      </p>`;
    }
  }
}

const LEDGER = {
  changed: (why: string) => why,
  unreadable: (why: string) => `cannot be read: ${why}`,
};

/** All that can be checked by hand of one job. `hasBundle`: whether a bundle of it can be had from this page. */
export function proofPage(stored: StoredRecord, seal: SealState, address: string, hasBundle: boolean): Html {
  const { record, key } = stored;
  const rows: readonly (readonly [string, string])[] = [
    ['Record', key],
    ['Log', record.log?.key ?? 'none'],
    ['SHA-256 of the log as GitHub served it', record.log?.sha256 ?? '–'],
    ['SHA-256 of the stored object', record.log?.stored_sha256 ?? '–'],
    ['Source of the details', record.details_source],
    ['Recorded at', record.recorded_at],
    ...ledgerRows(seal),
  ];
  return html`<h1>Proof of ${titleOf(record)}</h1>
    ${factsHtml(record)}
    <table class="facts-table">
      <tbody>
        ${rows.map(
          ([name, value]) =>
            html`<tr>
              <th scope="row">${name}</th>
              <td><code>${value}</code></td>
            </tr>`,
        )}
      </tbody>
    </table>
    <h2>Check it yourself</h2>
    ${
      hasBundle
        ? html`<p>
            <a class="go" href="${address}/proof/bundle">Download the proof bundle</a> the record, its log,
            and what seals them, with a <code>verify.sh</code> for bash, openssl, jq and gzip.
          </p>`
        : ''
    }
    <p>
      This page believes the archive’s own key and looks at one digest. The whole chain, the anchor and a
      pinned key are checked by
    </p>
    <p><code>everlog verify --key FINGERPRINT</code></p>
    <p>and a bundle of the whole run is made by</p>
    <p><code>everlog export --out proof --run ${record.run_id}</code></p>`;
}

function ledgerRows(seal: SealState): readonly (readonly [string, string])[] {
  switch (seal.kind) {
    case 'sealed':
      return [
        ['Digest', digestKey(seal.sequence)],
        ['SHA-256 of the digest', seal.digestSha256],
        [
          'Signature by the key the archive names',
          seal.isSigned ? (seal.isRevoked ? 'good, but the key was revoked' : 'good') : 'NOT good',
        ],
        ['Key', seal.keyId],
      ];
    case 'not_sealed':
      return [['Ledger', seal.isOverdue ? 'NOT in the digests that should have it' : 'in no digest yet']];
    case 'changed':
    case 'unreadable':
      return [['Ledger', LEDGER[seal.kind](seal.why)]];
  }
}
