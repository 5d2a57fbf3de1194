import { describe, expect, it } from '@jest/globals';
import { RefreshLockError, SwapRefusedError } from '../../../lib/errors/refresh.errors.js';
import {
  refuseObstacles,
  requireUnchanged,
  type SwapSource,
} from '../../../lib/schema/swap-source.js';
import { deployed, grant, index } from '../../support/schema-fixtures.js';

const name = { schema: 'Far away', name: 'Hot "Sales"' };

describe('refuseObstacles', () => {
  it('accepts a view on which nothing depends', () => {
    expect(() => {
      refuseObstacles(name, []);
    }).not.toThrow();
  });

  it('names everything that depends on the view, before what belongs to it', () => {
    const refuse = (): void => {
      refuseObstacles(name, [
        { is_dependent: true, description: 'function f()' },
        { is_dependent: true, description: 'view v' },
        { is_dependent: false, description: 'a security label' },
      ]);
    };
    expect(refuse).toThrow(SwapRefusedError);
    expect(refuse).toThrow(
      'Cannot refresh materialized view "Far away.Hot "Sales"" by swap: the old view would be dropped, and function f(), view v depends on it.',
    );
  });

  it('names what a copy would lose', () => {
    expect(() => {
      refuseObstacles(name, [{ is_dependent: false, description: 'a security label' }]);
    }).toThrow('it has a security label, which its copy would lose');
  });
});

describe('requireUnchanged', () => {
  const source = (given: Partial<SwapSource> = {}): SwapSource => ({
    deployed: deployed('sales', {}, { indexes: [index('by_day')] }),
    ...given,
  });

  it('accepts a view that has not changed', () => {
    expect(() => {
      requireUnchanged(source(), source());
    }).not.toThrow();
  });

  it.each([
    ['a privilege', deployed('sales', { grants: [grant(null)] }, { indexes: [index('by_day')] })],
    ['an index', deployed('sales', {}, { indexes: [index('by_day'), index('by_hand')] })],
  ])('refuses one that has got %s', (_, changed) => {
    expect(() => {
      requireUnchanged(source(), source({ deployed: changed }));
    }).toThrow(RefreshLockError);
  });
});
