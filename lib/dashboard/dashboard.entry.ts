import { Injectable } from '@nestjs/common';

/** Where the guards stand: the module declares them on a class of its own made from this one. */
@Injectable()
export class DashboardEntry {
  /** What guards see as the handler of every request. They get the first two. */
  enter<T>(this: void, _request: unknown, _response: unknown, _next: unknown, work: () => T): T {
    return work();
  }
}
