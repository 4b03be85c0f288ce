// Numbers as the server writes them.

/** 5000000 → "5,000,000"; "7300.00" → "7,300.00". */
export function grouped(number) {
  const [whole, ...decimals] = String(number).split(".");
  return [whole.replace(/\B(?=(\d{3})+$)/g, ","), ...decimals].join(".");
}

/** What quota is worth in yuan: cents from one yuan on, below that four decimals, for single answers cost so little. */
export function worth(quota, yuanPerQuota) {
  const yuan = quota * yuanPerQuota;
  if (yuan > 0 && yuan < 0.0001) return "<0.0001";
  return grouped(yuan.toFixed(yuan && yuan < 1 ? 4 : 2).replace(/(\.\d\d)(\d*?)0+$/, "$1$2"));
}
