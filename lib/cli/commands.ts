import type { CliCommand } from './cli-command.js';
import { listCommand } from './commands/list.command.js';

/** In the order in which help shows them. */
export const COMMANDS: readonly CliCommand[] = [listCommand];
