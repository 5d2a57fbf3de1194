import type { RefreshService } from '../engine/refresh.service.js';
import type { Cli } from './cli-command.js';

/** Does something to each of the named views, or to none if a name is wrong. */
export async function forEachView(
  cli: Cli,
  names: readonly string[],
  act: (refreshes: RefreshService, name: string) => Promise<void>,
): Promise<void> {
  const { refreshes, sources } = await cli.open();
  names.forEach((name) => sources.find(name));
  for (const name of names) {
    await act(refreshes, name);
  }
}
