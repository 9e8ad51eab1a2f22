/**
 * How long readings are kept, by plan. Used by the chart (to stop scrolling) and by the nightly clean-up.
 * Contracts that promise more are listed by account in `overrides`; see the service level agreement, section 2.
 */
export type Plan = "basic" | "pro" | "regulated";

export interface Retention {
  months: number;
  /** Whether rows may be thinned to one an hour after a year. Never on Regulated. */
  thinning: boolean;
}

const byPlan: Record<Plan, Retention> = {
  basic: { months: 13, thinning: true },
  pro: { months: 36, thinning: false },
  regulated: { months: 120, thinning: false },
};

/** Accounts with other promises. Museum Lindegaard has 25 years for the permanent collection. */
const overrides = new Map<string, Retention>([
  ["acc-lindegaard", { months: 300, thinning: false }],
  ["acc-orchard-vane", { months: 48, thinning: false }],
]);

export function retentionFor(account: string, plan: Plan): Retention {
  return overrides.get(account) ?? byPlan[plan];
}

/** First day that is still kept, at midnight UTC. Months are calendar months; the 31st falls back to the month's last day. */
export function keptSince(today: Date, retention: Retention): Date {
  const first = new Date(Date.UTC(today.getUTCFullYear(), today.getUTCMonth() - retention.months, 1));
  const lastDay = new Date(Date.UTC(first.getUTCFullYear(), first.getUTCMonth() + 1, 0)).getUTCDate();
  first.setUTCDate(Math.min(today.getUTCDate(), lastDay));
  return first;
}

/** A legal hold stops deletion altogether, whatever the plan says. Holds are set by Katja Wiedbrauk or by finance. */
export function mayDelete(readingTime: Date, today: Date, retention: Retention, legalHold: boolean): boolean {
  if (legalHold) {
    return false;
  }
  return readingTime.getTime() < keptSince(today, retention).getTime();
}
