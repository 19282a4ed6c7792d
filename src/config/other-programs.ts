/** What other programs' variables say, and what they are told by them. */

type Environment = Record<string, string | undefined>;

/** A program that shows long text on a terminal, and its environment. */
export interface Pager {
  readonly command: string;
  readonly env: Environment;
}

/** The pager that variables ask for; null where none is wanted. */
export function pagerOf(env: Readonly<Environment>): Pager | null {
  const command = (env['PAGER'] ?? 'less').trim();
  if (command === '' || command === 'cat') return null;
  // As git has it: end where all fits, show colours, leave the text on the screen.
  return { command, env: { ...env, LESS: env['LESS'] ?? 'FRX' } };
}

/** Folders in which programs are found. */
export function programFolders(env: Readonly<Environment>): readonly string[] {
  return (env['PATH'] ?? '').split(':').filter((folder) => folder !== '');
}

/** Which Node the AWS SDK will want some day is for whoever updates Everlog, and not for whoever runs it. */
export function silenceSdkNotice(env: Environment): void {
  env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
}
