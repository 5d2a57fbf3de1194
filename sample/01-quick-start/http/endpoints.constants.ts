export interface Endpoint {
  method: 'GET' | 'POST';
  path: string;
  answers: string;
}

/** The path of the dashboard. */
export const DASHBOARD_PATH = '/materialized-views';

/** The endpoints, with example paths. `GET /` lists those with GET. */
export const ENDPOINTS: Endpoint[] = [
  {
    method: 'GET',
    path: '/browsers/firefox/years',
    answers: 'features that a browser gained each year (browser_year)',
  },
  {
    method: 'GET',
    path: '/areas/css/slowest-features',
    answers: 'features that took longest to be in all big browsers (feature_lag)',
  },
  {
    method: 'GET',
    path: '/areas/css/adoption',
    answers: 'days until features were everywhere, by year (adoption_year, on top of feature_lag)',
  },
  {
    method: 'POST',
    path: '/refresh/feature_lag',
    answers: 'refreshes a view: browser_year, feature_lag or adoption_year',
  },
];
