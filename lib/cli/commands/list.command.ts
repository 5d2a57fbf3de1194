import { Command } from 'commander';
import { type ViewDefinition, viewName } from '../../definition/view-definition.js';
import type { Cli, CliCommand, CommandResult } from '../cli-command.js';
import { type SchemaFlag, viewsIn } from '../schema-option.js';

/** What the code declares. */
export const listCommand: CliCommand = {
  define: () =>
    new Command('list')
      .description('the declared views')
      .option('--schema <name>', 'only views of this schema'),

  async run(cli: Cli, _args: readonly string[], flags: SchemaFlag): Promise<CommandResult> {
    const { source } = await cli.open();
    const views = viewsIn(source.views.all(), flags).map(listed);
    const rows = views.map((each) => [
      each.view,
      each.class,
      each.kind,
      `${each.cron ?? ''}${each.scheduler === 'pg_cron' ? ' (pg_cron)' : ''}`,
      each.mode ?? '',
    ]);
    return {
      json: { views },
      text:
        views.length === 0
          ? 'The data source has no entity with @MaterializedViewEntity or @PlainViewEntity.'
          : cli.output.table(['VIEW', 'CLASS', 'KIND', 'SCHEDULE', 'MODE'], rows),
    };
  },
};

interface ListedView {
  view: string;
  class: string;
  kind: 'materialized' | 'plain';
  cron?: string;
  timeZone?: string;
  scheduler?: string;
  /** Of a materialized view. */
  mode?: string;
}

function listed(view: ViewDefinition): ListedView {
  return {
    view: viewName(view),
    class: view.target.name,
    kind: view.kind.storesRows ? 'materialized' : 'plain',
    cron: view.schedule?.cron,
    timeZone: view.schedule?.timeZone,
    scheduler: view.schedule?.scheduler,
    mode: view.kind.storesRows ? view.refresh.mode : undefined,
  };
}
