/** Something to type, and what it does. */
export interface Example {
  readonly line: string;
  readonly says: string;
}

type ExampleLines = readonly (readonly [line: string, says: string])[];

/** Examples of every command, by its words; shown by its help and by the manual. */
const EXAMPLES: Readonly<Record<string, ExampleLines>> = {
  demo: [['everlog demo --exit', 'see all of it work, then end']],
  setup: [
    [
      'everlog setup --org octo-org --webhook-url https://everlog.example.com/webhooks',
      'an App of your organisation',
    ],
  ],
  doctor: [
    ['everlog doctor', 'try everything'],
    ['everlog doctor --skip github', 'before there is an App'],
  ],
  up: [
    ['everlog up', 'everything in one process, with an embedded queue and a folder unless told otherwise'],
  ],
  serve: [['everlog serve', 'receive webhooks, as the variables say']],
  work: [['everlog work --only archive', 'fetch logs, without the signing key']],
  web: [['everlog web', 'the page alone, as EVERLOG_WEB_LISTEN and EVERLOG_WEB_AUTH say']],
  status: [['everlog status --json', 'for a monitor']],
  ls: [
    ['everlog ls -R octo-org/app --failed --since yesterday', 'what failed there since yesterday'],
    ['everlog ls https://github.com/octo-org/app/pull/17', 'every job of a pull request'],
    ['everlog ls --sha f83a356 --json job_id,job_name,conclusion', 'members of records, for a program'],
  ],
  cat: [
    [
      'everlog cat https://github.com/octo-org/app/actions/runs/29679449/job/399444496',
      'the log behind an address',
    ],
    ['everlog cat 29679449 --failed', 'the failed steps of a run'],
    ['everlog cat 399444496 --step Test --tail 20', 'the last lines of a step'],
  ],
  failures: [
    ['everlog failures', 'what failed last night, and since when'],
    ['everlog failures -R octo-org/app --branch main --since 1w', 'of one branch, in a week'],
  ],
  grep: [
    ["everlog grep -F 'connection reset' -R octo-org/app --since 7d", 'at its letters'],
    ["everlog grep -il 'out of memory' --failed --since 2w", 'which failed jobs say it'],
  ],
  stats: [['everlog stats --owner octo-org --since 30d', 'a month of one owner']],
  open: [['everlog open 399444496', 'its web page']],
  reconcile: [
    [
      'everlog reconcile --repo octo-org/app --since 3d --wait',
      'compare one repository, and wait for what is missing',
    ],
  ],
  backfill: [['everlog backfill --since 90d --dry-run', 'what it would fetch']],
  redeliver: [['everlog redeliver', 'after an outage of the receiver']],
  'failed ls': [['everlog failed ls', 'which jobs, and why']],
  'failed retry': [['everlog failed retry --all --wait', 'all of them, once what failed them is mended']],
  'failed drop': [
    ["everlog failed drop 399444496 --reason 'the repository is gone'", 'one that can never be fetched'],
  ],
  seal: [['everlog seal', 'before an auditor comes']],
  verify: [
    ['everlog verify --archive s3://bucket/prefix --key 5f0c…', 'an archive, against a key that you trust'],
    ['everlog verify --bundle ./evidence', 'a bundle'],
    ['everlog verify --job https://github.com/octo-org/app/actions/runs/30433642/job/399444496', 'one job'],
    ['everlog verify --level ledger --from 2026-10-01 --to 2026-12-31', 'a quarter, without reading logs'],
  ],
  export: [['everlog export --out ./evidence --sha-file releases.txt', 'the evidence of some commits']],
  'keys ls': [['everlog keys ls', 'fingerprints, for --key of verify']],
  'keys rotate': [['everlog keys rotate --to ./key-2027.pem', 'a new key, signed by the old one']],
  'keys revoke': [
    ["everlog keys revoke 5f0c2a11 --reason 'laptop stolen' --at 2026-11-20", 'from that day on'],
  ],
  'hold add': [
    [
      "everlog hold add --case 2026-117 --repo octo-org/app --since 2026-10-01 --reason 'litigation'",
      'the jobs of a time',
    ],
  ],
  'hold ls': [['everlog hold ls', 'which cases hold what']],
  'hold rm': [['everlog hold rm --case 2026-117', 'all that the case holds']],
  purge: [["everlog purge --job 399444496 --reason 'leaked token' --dry-run", 'what would go']],
  expire: [['everlog expire --rules retention.yaml --dry-run', 'what is past its rule']],
  'index rebuild': [['everlog index rebuild', 'after its files were lost or damaged']],
  'index compact': [['everlog index compact', 'now, instead of at night']],
  'index status': [['everlog index status', 'how far it is behind']],
  completion: [
    ['source <(everlog completion bash)', 'in ~/.bashrc; zsh likewise, after compinit'],
    ['everlog completion fish > ~/.config/fish/completions/everlog.fish', 'for fish'],
  ],
  man: [['everlog man | man -l -', 'read it here']],
};

/** The examples of a command, by its words (`hold add`); none for a command that only holds others. */
export function examplesOf(command: string): readonly Example[] {
  return (EXAMPLES[command] ?? []).map(([line, says]) => ({ line, says }));
}
