import type { StepFacts } from '../facts.ts';

const ESC = '\u001B[';
const RESET = `${ESC}0m`;

interface StepTexts {
  before: string[];
  after: string[];
}

const SETUP_LINES: readonly string[] = [
  "Current runner version: '2.330.0'",
  '##[group]Runner Image Provisioner',
  'Hosted Compute Agent',
  'Version: 20261012.458',
  'Build Date: 2026-10-12T08:41:07Z',
  '##[endgroup]',
  '##[group]Operating System',
  'Ubuntu',
  '24.04.4',
  'LTS',
  '##[endgroup]',
  '##[group]Runner Image',
  'Image: ubuntu-24.04',
  'Version: 20261019.71.1',
  'Included Software: https://github.com/actions/runner-images/blob/ubuntu24/20261019.71/images/ubuntu/Ubuntu2404-Readme.md',
  '##[endgroup]',
  '##[group]GITHUB_TOKEN Permissions',
  'Contents: read',
  'Metadata: read',
  'Packages: read',
  '##[endgroup]',
  'Secret source: Actions',
  'Prepare workflow directory',
  'Prepare all required actions',
  'Getting action download info',
  "Download action repository 'actions/checkout@v5' (SHA:08c6903cd8c0fde910a37f88322edcfb5dd907a8)",
  "Download action repository 'actions/setup-node@v5' (SHA:a0853c24544627f65ddf259abe73b1d18a591444)",
];

function checkoutLines(repository: string): string[] {
  return [
    '##[group]Run actions/checkout@v5',
    'with:',
    `  repository: ${repository}`,
    '  token: ***',
    '  ssh-strict: true',
    '  fetch-depth: 1',
    '##[endgroup]',
    `Syncing repository: ${repository}`,
    '##[group]Fetching the repository',
    '##[command]/usr/bin/git -c protocol.version=2 fetch --no-tags --prune --depth=1 origin',
    'remote: Enumerating objects: 184, done.        ',
    ' * [new ref]         f83a356604ae3c5d03e1b46ef4d1ca77d64a90b0 -> origin/main',
    '##[endgroup]',
    "[command]/usr/bin/git log -1 --format='%H'",
    "'f83a356604ae3c5d03e1b46ef4d1ca77d64a90b0'",
  ];
}

function runLines(command: string): string[] {
  return [
    `##[group]Run ${command}`,
    `${ESC}36;1m${command}${RESET}`,
    'shell: /usr/bin/bash -e {0}',
    'env:',
    '  NPM_TOKEN: ***',
    '##[endgroup]',
  ];
}

function testLines(jobName: string, random: () => number): string[] {
  const durationMs = () => 1 + Math.floor(random() * 900);
  return [
    '',
    '> widgets@4.2.0 test',
    '> vitest run',
    '',
    ` ${ESC}1m${ESC}46m RUN ${RESET} ${ESC}36mv4.1.12 ${RESET}${ESC}90m/home/runner/work/widgets${RESET}`,
    ` ${ESC}32m✓${RESET} test/pricing.test.ts (14 tests) ${ESC}32m${durationMs()}ms${RESET}`,
    ` ${ESC}32m✓${RESET} test/Übersetzung.test.ts (6 tests) ${ESC}32m${durationMs()}ms${RESET} 日本語`,
    ` ${ESC}32m✓${RESET} test/${jobName.replaceAll(/[^\w]+/g, '-')}.test.ts ${ESC}90m${durationMs()}ms${RESET}`,
    'Connecting to https://registry.example.com with token *** (masked)',
  ];
}

function testEnding(step: StepFacts): string[] {
  if (step.conclusion === 'cancelled') return ['##[error]The operation was canceled.'];
  if (step.conclusion === 'timed_out')
    return ['##[error]The job has exceeded the maximum execution time of 6h0m0s'];
  if (step.conclusion === 'success') {
    return [
      ` ${ESC}2m Test Files ${RESET} ${ESC}32m21 passed${RESET} (21)`,
      ` ${ESC}2m      Tests ${RESET} ${ESC}32m184 passed${RESET} (184)`,
    ];
  }
  return [
    ` ${ESC}41m FAIL ${RESET} test/checkout.test.ts > total > rounds half up`,
    `${ESC}31mAssertionError: expected 10.004 to be 10.01${RESET}`,
    ' ❯ test/checkout.test.ts:42:31',
    '##[warning]Retried 2 times before giving up',
    '##[error]Process completed with exit code 1.',
  ];
}

/** What a step prints whatever the log's size: its opening lines and its last ones. */
export function fixedTexts(
  step: StepFacts,
  about: { jobName: string; repository: string },
  random: () => number,
): StepTexts {
  const { name } = step;
  if (name === 'Set up job')
    return { before: [...SETUP_LINES, `Complete job name: ${about.jobName}`], after: [] };
  if (name === 'Complete job') {
    return {
      before: ['Cleaning up orphan processes', 'Terminate orphan process: pid (2213) (node)'],
      after: [],
    };
  }
  if (name.startsWith('Post ')) {
    return {
      before: ['Post job cleanup.', '[command]/usr/bin/git version', 'git version 2.51.0'],
      after: [],
    };
  }
  const command = name.replace(/^Run /, '');
  if (command.startsWith('actions/checkout')) return { before: checkoutLines(about.repository), after: [] };
  if (command.startsWith('actions/')) {
    return { before: [`##[group]Run ${command}`, 'with:', '  node-version: 24', '##[endgroup]'], after: [] };
  }
  if (command === 'npm ci') {
    const added = 300 + Math.floor(random() * 200);
    return {
      before: [...runLines(command), '', `added ${added} packages in 9s`, 'found 0 vulnerabilities'],
      after: [],
    };
  }
  return { before: [...runLines(command), ...testLines(about.jobName, random)], after: testEnding(step) };
}

/** Texts that fill a log up to its size. */
export function fillerTexts(random: () => number): string[] {
  const number = (below: number) => Math.floor(random() * below);
  const word = () => number(2 ** 31).toString(36);
  return Array.from({ length: 400 }, (_, index) => {
    switch (index % 5) {
      case 0:
        return ` ${ESC}32m✓${RESET} src/modules/${word()}/${word()}.test.ts > ${word()} ${word()} ${ESC}90m${number(90)}ms${RESET}`;
      case 1:
        return `[${word()}] GET /api/v2/${word()}/${number(10_000)} 200 ${number(400)}ms - ${number(90_000)} bytes`;
      case 2:
        return `##[debug]Evaluating condition for step: '${word()}' => ${word()} && ${word()} == ${number(100)}`;
      case 3:
        return `  compiled module ${word()}-${word()} (${number(4000)} kB) — größer als erwartet: ${word()} ${word()}`;
      default:
        return `INFO  ${word()} worker ${number(16)} finished batch ${number(100_000)} of ${word()} without remark`;
    }
  });
}
