import { createHash } from 'node:crypto';

/** Marks what is being built. No name of an application begins with it. */
const PREFIX = 'mv_build_';

/**
 * The name of something while it is built beside what it replaces: the same for the same subject,
 * different for different ones, and short enough for any name.
 */
export function temporaryName(...subject: string[]): string {
  const digest = createHash('sha256').update(JSON.stringify(subject)).digest('hex');
  return `${PREFIX}${digest.slice(0, 24)}`;
}
