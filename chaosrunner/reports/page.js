(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const plots = [...document.querySelectorAll(".plot")].map((el) => ({
    el, area: el.querySelector(".area"), out: el.closest("figure").querySelector("output"),
    cross: el.querySelector(".cross"), d: data.plots[el.dataset.key],
  }));
  const FACTORS = data.factors;
  const round = (n, digits) => String(Number(n.toPrecision(digits)));
  const show = (v, unit) => {
    if (!unit) return round(v, 4);
    const [kind, factor] = FACTORS[unit] || ["", 1];
    const base = v * factor;
    if (kind === "time") return Math.abs(base) >= 1 || base === 0 ? round(base, 3) + " s" : round(base * 1e3, 3) + " ms";
    if (kind === "share") return round(base * 100, 3) + " %";
    if (kind === "rate") return round(base, 4) + "/s";
    return round(v, 4) + " " + unit;
  };
  const moment = (t) => {
    if (t < 60) return t.toFixed(1) + "s";
    const h = Math.floor(t / 3600), m = Math.floor(t / 60) % 60, s = t % 60;
    const two = (n) => String(n).padStart(2, "0");
    return h ? `${h}:${two(m)}:${two(Math.floor(s))}` : `${m}:${s.toFixed(1).padStart(4, "0")}`;
  };
  const nearest = (p, t) => {
    let low = 0, high = p.length / 2 - 1;
    while (low < high) {
      const mid = (low + high) >> 1;
      if (p[2 * mid] < t) low = mid + 1; else high = mid;
    }
    if (low > 0 && t - p[2 * low - 2] < p[2 * low] - t) low -= 1;
    return low;
  };
  const says = (d, t) => {
    let best = null, gap = Infinity;
    if (d.p.length) {
      const i = nearest(d.p, t);
      gap = Math.abs(d.p[2 * i] - t);
      const v = d.p[2 * i + 1];
      best = [d.p[2 * i], d.w ? d.w[v] : show(v, d.u)];
    }
    for (const [at, why] of d.m || []) if (Math.abs(at - t) < gap) { gap = Math.abs(at - t); best = [at, why]; }
    return best ? `${moment(best[0])}  ${best[1]}` : "";
  };
  let now = null;
  const put = (t) => {
    now = Math.max(0, Math.min(data.seconds, t));
    document.body.classList.add("on");
    for (const plot of plots) {
      plot.cross.style.left = (now / data.seconds) * 100 + "%";
      if (plot.d) plot.out.textContent = says(plot.d, now);
    }
  };
  const away = () => {
    document.body.classList.remove("on");
    for (const plot of plots) plot.out.textContent = "";
  };
  for (const { area, d } of plots) {
    const move = (event) => {
      const box = area.getBoundingClientRect();
      put(((event.clientX - box.left) / box.width) * data.seconds);
    };
    area.addEventListener("pointermove", move);
    area.addEventListener("pointerdown", move);
    area.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") away(); });
    area.addEventListener("blur", away);
    area.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (event.key === "Escape") away();
      if (!step) return;
      event.preventDefault();
      put((now ?? 0) + step * Math.max(d ? d.e : 1, data.seconds / 200));
    });
  }
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((d) => { d.open = true; }));
})();
