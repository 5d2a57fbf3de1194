import type { CliCommand } from './cli-command.js';
import { cancelCommand } from './commands/cancel.command.js';
import { checkCommand } from './commands/check.command.js';
import { diffCommand } from './commands/diff.command.js';
import { doctorCommand } from './commands/doctor.command.js';
import { dropCommand } from './commands/drop.command.js';
import { explainCommand } from './commands/explain.command.js';
import { generateCommand } from './commands/generate.command.js';
import { graphCommand } from './commands/graph.command.js';
import { historyCommand } from './commands/history.command.js';
import { initCommand } from './commands/init.command.js';
import { inspectCommand } from './commands/inspect.command.js';
import { listCommand } from './commands/list.command.js';
import { pauseCommand } from './commands/pause.command.js';
import { refreshCommand } from './commands/refresh.command.js';
import { resumeCommand } from './commands/resume.command.js';
import { runningCommand } from './commands/running.command.js';
import { statusCommand } from './commands/status.command.js';
import { syncCommand } from './commands/sync.command.js';

/** In the order in which help shows them. */
export const COMMANDS: readonly CliCommand[] = [
  listCommand,
  statusCommand,
  historyCommand,
  graphCommand,
  inspectCommand,
  refreshCommand,
  runningCommand,
  cancelCommand,
  pauseCommand,
  resumeCommand,
  diffCommand,
  checkCommand,
  syncCommand,
  generateCommand,
  dropCommand,
  doctorCommand,
  explainCommand,
  initCommand,
];
