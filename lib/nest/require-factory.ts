import { OptionPath } from '../definition/option-path.js';

/**
 * Nest would say that it cannot resolve a dependency of a symbol.
 *
 * @throws InvalidOptionsError when `forRootAsync` was given no factory
 */
export function requireFactory(
  subject: string,
  options: { useFactory?: unknown; useClass?: unknown; useExisting?: unknown },
): void {
  const { useFactory, useClass, useExisting } = options;
  if ([useFactory, useClass, useExisting].every((each) => typeof each !== 'function')) {
    throw new OptionPath(subject)
      .member('useFactory')
      .refuse('a function, or `useClass` or `useExisting` a class', useFactory);
  }
}
