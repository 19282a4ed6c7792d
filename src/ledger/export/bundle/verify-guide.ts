/** `VERIFY.md` of a bundle. It holds nothing from records, so that nothing in it needs escaping. */
export function verifyGuide(summary: { readonly madeAt: string; readonly version: string }): string {
  return `# How to check this bundle

Made at ${summary.madeAt} by Everlog ${summary.version}. Everything here can be checked offline, without Everlog, with stock tools.

## In one command

    bash verify.sh FINGERPRINT

\`FINGERPRINT\` is the SHA-256 of the signing key that you trust, 64 hex digits. Get it from whoever runs the archive, by a way
that does not lead through this bundle: a bundle can vouch for its contents, but not for its own key. Without it the script
takes the key of the earliest digest here, prints it as \`UNPINNED\`, and proves no more than that the bundle agrees with itself.

Exit code 0: sound. 4: findings, one line each. 1: it could not check, as a tool is missing or \`FINGERPRINT\`
is none. The script needs bash 4.4, openssl 3, jq 1.6, gzip, sed, awk and GNU coreutils, uses no network and writes only to a temporary folder. It has at most 110 lines: read it. \`everlog verify --bundle
DIR --key FINGERPRINT\` checks the same with other code.

## What is here

| path | what |
| --- | --- |
| \`index.html\`, \`index.csv\` | what was asked for and what was found, for people. A convenience: nothing proves it, the files below do |
| \`v1/records/\` | the record of each job, every revision: what GitHub said of it, or why there is no log |
| \`v1/logs/\` | the logs, byte for byte as GitHub served them, gzip |
| \`v1/custody/\` | who removed something of these jobs, when and why |
| \`entries/<seq>.ndjson\` | these objects' lines of the ledger, byte for byte: key, size and SHA-256 as stored |
| \`entries/<seq>.paths.ndjson\` | for each line, how it hangs in the Merkle tree of its digest: \`index\`, \`leaf\`, \`path\` |
| \`ledger/digests/<seq>/\` | the digests that cover them, those before and after, and bad ones, each with its Ed25519 signature, and a time stamp (RFC 3161) where one was made |
| \`ledger/checkpoints/\` | signed notes (C2SP tlog-checkpoint) on the tree of all digests up to each of these |
| \`ledger/keys/\` | the public keys, each signed by the one before it, and revocations |

## By hand, for one log

Take a line of \`entries/<seq>.ndjson\` that names the log. With \`D=ledger/digests/<seq>\`:

1. The key is the one you trust. \`jq -r .key_id $D/digest.json\` is your fingerprint, and so is
   \`jq -r .public_key ledger/keys/<key_id>.json | openssl pkey -pubin -outform DER | sha256sum\`. For another key of the same ledger,
   follow \`previous_key_id\`: each key file is signed by the key before it, over the lines \`everlog.key/v1\`, \`key_id\`, \`not_before\`
   and \`previous_key_id\`, each ended by a line feed.
2. The digest is signed: \`jq -r .public_key ledger/keys/<key_id>.json >key.pem\`, then
   \`openssl pkeyutl -verify -pubin -inkey key.pem -rawin -in $D/digest.json -sigfile $D/<sha256 of digest.json>.sig\`.
3. The line is in the digest. Its leaf is the SHA-256 of a zero byte and the line without its line feed. Go up its \`path\` as RFC
   9162, section 2.1.3.2 says (a node is the SHA-256 of a byte 1, the left and the right hash): the end is \`entries.merkle_root\`.
4. The files are what the line says: \`sha256sum\` of the record and of the log.
5. The log is what the record says: \`gzip -dc LOG | sha256sum\` and \`gzip -dc LOG | wc -c\` are \`log.sha256\` and \`log.bytes\`.

A time stamp: \`openssl ts -verify -data $D/digest.json -in $D/<sha256>.tsr -CAfile CA.pem\`, with the certificate of the authority
from the authority itself.

## What this proves

- Each record and log here is, byte for byte, what stood in the archive when the digest was signed, and has the place in the
  ledger that its path says. Nothing was changed since, and nothing was slipped in.
- Who signed: whoever held the key whose fingerprint you compared. When: \`created_at\` is the sealer's own clock; a time stamp is
  somebody else's.
- A record without a log says why there is none. What was removed since is named by a sealed custody object.

## What it does not prove

- That the bundle holds everything that was asked for. Whoever hands it on can leave out a job with its line. Compare the list of
  jobs with your own sample, and check the whole archive with \`everlog verify\` where completeness matters.
- That the ledger was never cut short or rewritten by whoever holds its key. That takes the whole chain of digests and a second
  copy: compare the notes in \`ledger/checkpoints/\` and the digests with those at the anchor, or with earlier bundles.
- What a runner did. A log is what GitHub served for the job at the time of the fetch; somebody with write access to the repository
  could have deleted logs or runs before that, which is then recorded as an absence.
- What \`index.html\` and \`index.csv\` say.
`;
}
