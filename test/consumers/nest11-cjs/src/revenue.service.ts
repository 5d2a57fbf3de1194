import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import {
  type GraphReport,
  type RefreshResult,
  RefreshService,
  type ViewStatus,
} from 'nestjs-materialized-views';
import { Repository } from 'typeorm';
import { DailyRevenue } from './daily-revenue.view';

@Injectable()
export class RevenueService {
  constructor(
    @InjectRepository(DailyRevenue) private readonly revenue: Repository<DailyRevenue>,
    private readonly refreshes: RefreshService,
  ) {}

  of(day: string): Promise<DailyRevenue | null> {
    return this.revenue.findOneBy({ day });
  }

  /** Refused: a view is read-only. */
  change(row: DailyRevenue): Promise<DailyRevenue> {
    return this.revenue.save(row);
  }

  refresh(): Promise<RefreshResult> {
    return this.refreshes.refresh(DailyRevenue);
  }

  refreshAll(): Promise<GraphReport> {
    return this.refreshes.refreshAll();
  }

  status(): Promise<ViewStatus[]> {
    return this.refreshes.statusAll();
  }
}
