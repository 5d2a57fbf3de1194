import type { CliCommand } from './cli-command.js';

type LoadCommand = () => Promise<CliCommand>;

/** By name, in the order in which help shows them. Loading modules is most of the time of a short command. */
const COMMANDS: Readonly<Record<string, LoadCommand>> = {
  list: async () => (await import('./commands/list.command.js')).listCommand,
  status: async () => (await import('./commands/status.command.js')).statusCommand,
  history: async () => (await import('./commands/history.command.js')).historyCommand,
  graph: async () => (await import('./commands/graph.command.js')).graphCommand,
  inspect: async () => (await import('./commands/inspect.command.js')).inspectCommand,
  refresh: async () => (await import('./commands/refresh.command.js')).refreshCommand,
  running: async () => (await import('./commands/running.command.js')).runningCommand,
  cancel: async () => (await import('./commands/cancel.command.js')).cancelCommand,
  pause: async () => (await import('./commands/pause.command.js')).pauseCommand,
  resume: async () => (await import('./commands/resume.command.js')).resumeCommand,
  diff: async () => (await import('./commands/diff.command.js')).diffCommand,
  check: async () => (await import('./commands/check.command.js')).checkCommand,
  sync: async () => (await import('./commands/sync.command.js')).syncCommand,
  generate: async () => (await import('./commands/generate.command.js')).generateCommand,
  drop: async () => (await import('./commands/drop.command.js')).dropCommand,
  doctor: async () => (await import('./commands/doctor.command.js')).doctorCommand,
  explain: async () => (await import('./commands/explain.command.js')).explainCommand,
  init: async () => (await import('./commands/init.command.js')).initCommand,
};

/** The command that the arguments name; all of them, for help and for messages, if they name none. */
export function loadCommands([name = '']: readonly string[]): Promise<CliCommand[]> {
  const named = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  const needed = named === undefined ? Object.values(COMMANDS) : [named];
  return Promise.all(needed.map((load) => load()));
}
