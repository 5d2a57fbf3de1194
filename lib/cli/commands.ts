import type { CliCommand } from './cli-command.js';
import { cancelCommand } from './commands/cancel.command.js';
import { graphCommand } from './commands/graph.command.js';
import { historyCommand } from './commands/history.command.js';
import { listCommand } from './commands/list.command.js';
import { pauseCommand } from './commands/pause.command.js';
import { refreshCommand } from './commands/refresh.command.js';
import { resumeCommand } from './commands/resume.command.js';
import { runningCommand } from './commands/running.command.js';
import { statusCommand } from './commands/status.command.js';

/** In the order in which help shows them. */
export const COMMANDS: readonly CliCommand[] = [
  listCommand,
  statusCommand,
  historyCommand,
  graphCommand,
  refreshCommand,
  runningCommand,
  cancelCommand,
  pauseCommand,
  resumeCommand,
];
