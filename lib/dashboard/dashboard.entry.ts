import { Injectable } from '@nestjs/common';

/** Carries the guards: the module declares them on its own subclass of this one. */
@Injectable()
export class DashboardEntry {
  /** The handler of every request, as guards see it. They get the first two arguments. */
  enter<T>(this: void, _request: unknown, _response: unknown, _next: unknown, work: () => T): T {
    return work();
  }
}
