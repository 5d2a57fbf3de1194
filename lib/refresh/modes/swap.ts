import { swapRows } from '../../schema/row-swap.js';
import type { Mode } from './mode.js';

/** Builds the rows beside the view and exchanges the two: blocks readers for a moment. Only if requested. */
export const swap: Mode = {
  name: 'swap',
  replacesView: true,

  accepts(_, { choice, withData }) {
    return withData && choice === 'swap' ? 'requested' : undefined;
  },

  async run({ session, stateSchema, definition, lockTimeoutMs, onViewStatement }) {
    try {
      await swapRows(session, { stateSchema, definition, lockTimeoutMs });
    } catch (cause) {
      onViewStatement(session.failedStatement);
      throw cause;
    }
    return [];
  },
};
