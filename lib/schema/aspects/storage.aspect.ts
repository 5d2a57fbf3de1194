import type { ViewDefinition } from '../../definition/view-definition.js';
import type { SqlStatement } from '../../postgres/sql-statement.js';
import { resetStorage, setStorage } from '../../postgres/view-ddl.sql.js';
import { storageDiffers, storageNames, storageOf, undeclaredStorage } from '../storage.js';
import { alteration, type ViewAspect } from './view-aspect.js';

/** The parameters of a view: storage parameters, or those of a plain view. */
export const storageAspect: ViewAspect<{ kind: 'storage' }> = {
  kinds: ['storage'],
  diff: (view, { row }) => (storageDiffers(view, row.storage) ? [{ kind: 'storage' }] : []),
  right: () => 'change',
  phases: (_, staying) => {
    const { view, deployed } = staying;
    const { storage } = deployed.row;
    const change = {
      reason: `Its ${view.kind.storesRows ? 'storage ' : ''}parameters changed`,
      statements: [
        ...resetAll(view, undeclaredStorage(view, storage)),
        ...setAll(view, storageOf(view, storage)),
      ],
      undo: [...resetAll(view, storageNames(view)), ...setAll(view, storage)],
      lock: 'SHARE UPDATE EXCLUSIVE: readers go on',
      rewritesRows: false,
    };
    return alteration(change, staying);
  },
  describe: () => 'its storage changed',
};

function setAll({ kind, name }: ViewDefinition, parameters: string[]): SqlStatement[] {
  return parameters.length === 0 ? [] : [setStorage(kind, name, parameters)];
}

function resetAll({ kind, name }: ViewDefinition, parameters: string[]): SqlStatement[] {
  return parameters.length === 0 ? [] : [resetStorage(kind, name, parameters)];
}
