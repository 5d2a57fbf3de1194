import { Command, Option } from 'commander';
import { MODE_CHOICES, viewName } from '../../definition/view-definition.js';
import type { Duration } from '../../definition/duration.js';
import { REFRESH_CASCADES } from '../../graph/view-graph.js';
import type { RefreshManyOptions } from '../../refresh/graph-options.js';
import type { GraphReport, GraphViewReport } from '../../refresh/graph-report.js';
import type { ViewStatus } from '../../status/view-status.js';
import type { Cli, CliCommand, CommandResult } from '../cli-command.js';
import { CommandLineUsageError } from '../command-line.errors.js';
import { ExitCode } from '../exit-code.js';
import { shownDuration } from '../../definition/format.js';
import type { Output } from '../output.js';
import { RefreshDisplay } from '../refresh-display.js';
import { duration, wholeNumber } from './flag-values.js';
import { inSchemaOf, type SchemaFlag, schemaOption } from '../schema-option.js';

interface RefreshFlags extends SchemaFlag {
  all?: boolean;
  cascade?: RefreshManyOptions['cascade'];
  mode?: RefreshManyOptions['mode'];
  strict?: boolean;
  ifStale?: boolean;
  parallel?: number;
  timeout?: Duration;
}

const HEAD = ['VIEW', 'OUTCOME', 'MODE', 'TOOK', 'WHY'];

/** Refreshes views, each after what it reads. */
export const refreshCommand: CliCommand = {
  define,

  async run(cli: Cli, given: readonly string[], flags: RefreshFlags): Promise<CommandResult> {
    const names = inSchemaOf(given, flags);
    if ((names.length === 0) === (flags.all !== true)) {
      throw new CommandLineUsageError('Name the views to refresh, or pass --all.');
    }
    const { parallel, schema } = flags;
    const project = await cli.open({ ...(parallel !== undefined && { poolSize: parallel }) });
    const statuses = await project.refreshes.statusAll(flags.all === true ? { schema } : {});
    const views = targets(names, flags, statuses, (name) =>
      viewName(project.sources.find(name).view),
    );
    const display = new RefreshDisplay(cli.output, project.events, statuses);
    try {
      const report = await project.refreshes.refreshMany(views, options(flags, cli.signal));
      return result(report, cli.output);
    } finally {
      display.stop();
    }
  },
};

function define(): Command {
  return new Command('refresh')
    .description('refresh views, each after the views that it reads')
    .argument('[views...]', 'as schema.name')
    .option('--all', 'all declared views')
    .addOption(schemaOption())
    .addOption(
      new Option(
        '--cascade <which>',
        'also refresh the views that they read, that read them, or both',
      ).choices(REFRESH_CASCADES),
    )
    .addOption(
      new Option('--mode <mode>', 'how to refresh; by default the mode of each view').choices(
        MODE_CHOICES,
      ),
    )
    .option('--strict', 'fail instead of blocking readers')
    .option('--if-stale', 'only views that are stale')
    .option('--parallel <count>', 'views at a time', wholeNumber)
    .option('--timeout <duration>', 'per view, waiting included, such as 5m', duration);
}

function targets(
  names: readonly string[],
  flags: RefreshFlags,
  statuses: readonly ViewStatus[],
  fullName: (name: string) => string,
): string[] {
  const named = flags.all === true ? statuses.map(({ view }) => view) : names.map(fullName);
  const stale = new Set(statuses.filter(({ isStale }) => isStale).map(({ view }) => view));
  return flags.ifStale === true ? named.filter((view) => stale.has(view)) : named;
}

function options(flags: RefreshFlags, signal: AbortSignal): RefreshManyOptions {
  const { cascade, mode, strict, timeout } = flags;
  return { cascade, mode, strict, timeout, signal, throwOnFailure: false };
}

function result(report: GraphReport, output: Output): CommandResult {
  const { failed, upstream_failed: leftOut, aborted } = report.counts;
  return {
    exitCode: failed + leftOut + aborted > 0 ? ExitCode.error : ExitCode.ok,
    json: { ...report, views: report.views.map(withMessage) },
    text:
      report.views.length === 0
        ? 'Nothing to refresh.'
        : output.table(
            HEAD,
            report.views.map((each) => row(each, output)),
          ),
  };
}

/** An error has no enumerable message. */
function withMessage(view: GraphViewReport): object {
  return view.outcome === 'failed'
    ? { ...view, error: { code: view.error.code, message: view.error.message } }
    : view;
}

function row(report: GraphViewReport, output: Output): string[] {
  const { view, outcome } = report;
  switch (report.outcome) {
    case 'failed':
      return [view, output.style('red', outcome), '', '', report.error.code];
    case 'upstream_failed':
      return [view, output.style('red', outcome), '', '', report.failedDependencies.join(', ')];
    case 'aborted':
      return [view, output.style('red', outcome), '', '', ''];
    default:
      return [view, output.style('green', outcome), ...settled(report.result)];
  }
}

function settled(result: Extract<GraphViewReport, { result: unknown }>['result']): string[] {
  return result.outcome === 'skipped'
    ? ['', '', result.reason]
    : [result.mode, shownDuration(result.durationMs), result.modeReason];
}
