#include outputs.glsl
#if COLOUR
uniform sampler2D noise_map;
uniform vec2 drift;
#endif

void main() {
#if COLOUR
    vec3 ray = normalize(ray_0.xyz + gl_FragCoord.x * ray_x.xyz + gl_FragCoord.y * ray_y.xyz);
    vec3 color = clear_sky(ray);
    // Clouds lie on a plane; their light comes from above and through thin edges.
    vec2 plane = ray.xy / (max(ray.z, 0.0) + 0.09);
    float lod = max(log2(length(fwidth(plane)) * 10.0), 0.0);
    vec4 large = textureLod(noise_map, plane * 0.043 + drift, lod);
    vec4 small = textureLod(noise_map, plane * 0.171 - drift, lod);
    float thick = 0.62 * large.b + 0.26 * small.b + 0.12 * small.r;
    float cloud = sun_rgb_.w;
    float cover = smoothstep(0.72 - 0.62 * cloud, 0.95 - 0.50 * cloud, thick);
    vec3 bright = horizon_rgb_.rgb * 0.55 + sun_rgb_.rgb * 0.20 + sky_rgb_.rgb * 0.18;
    vec3 dark = bright * 0.62;
    vec3 veil = mix(bright, dark, smoothstep(0.25, 0.85, thick)) ;
    veil = mix(veil, horizon_rgb_.rgb * (0.80 + 0.34 * thick), smoothstep(0.85, 1.0, cloud));
    float rise = smoothstep(0.0, 0.22, ray.z);
    color = mix(color, veil, cover * rise * mix(0.9, 0.75, smoothstep(0.85, 1.0, cloud)));
    float disc = smoothstep(0.99985, 0.99996, dot(ray, sun_.xyz)) * (1.0 - cover);
    color += sun_rgb_.rgb * disc * 12.0;
    // Fog closes the sky as well.
    float veil_share = 1.0 - exp2(-1.442695 * horizon_rgb_.w * 260.0 / (abs(ray.z) + 0.04) * 0.5);
    color = mix(color, horizon_rgb_.rgb, veil_share * step(0.004, horizon_rgb_.w));
    out_color = vec4(shown(color), 1.0);
#endif
#if LABELS
    out_label = vec4(0.0, 0.0, 1.0 / 255.0, 0.0);
    out_depth = 0.0;
#endif
}
