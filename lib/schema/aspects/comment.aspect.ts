import { commentOnView } from '../../postgres/view-ddl.sql.js';
import { alteration, type ViewAspect } from './view-aspect.js';

/** The comment, if the class declares one. */
export const commentAspect: ViewAspect<{ kind: 'comment' }> = {
  kinds: ['comment'],
  diff: ({ comment }, { row }) =>
    comment !== undefined && comment !== (row.comment ?? '') ? [{ kind: 'comment' }] : [],
  right: () => 'change',
  phases: (_, staying) => {
    const { view, deployed } = staying;
    const change = {
      reason: 'Its comment changed',
      statements: [commentOnView(view.kind, view.name, view.comment ?? null)],
      undo: [commentOnView(view.kind, view.name, deployed.row.comment)],
      lock: 'SHARE UPDATE EXCLUSIVE: readers go on',
      rewritesRows: false,
    };
    return alteration(change, staying);
  },
  describe: () => 'its comment changed',
};
